// Package rest owns the one public API: its routes, how a request is
// authenticated, repeated safely and answered, and how an error of a use case
// becomes a problem document.
//
// It must not know how a use case works nor who may do what: handlers
// translate between HTTP and the interfaces in services.go, and the use cases
// authorise. Every route states its policy; one without does not start.
//
// Start reading at api.go, then route.go (how a route is declared) and
// router.go (what every request passes through).
package rest
