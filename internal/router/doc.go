// Package router is the data plane of the process kind: a process of its own
// that listens on every component's address and proxies requests (HTTP/1.1 and
// HTTP/2, streams, websockets, gRPC) to the instances of the revisions that have
// the traffic. It outlives the agent that started it, and another process of it
// can take its place without closing a socket.
//
// It knows routes and counts requests; it knows nothing of health or rollouts,
// of a release only the name that stands in its metrics, and decides nothing by
// itself. Its configuration is config.json in its folder, which only it writes,
// before a change takes effect; changes, status and metrics go through a Unix
// socket there.
//
// Start reading at server.go (a change), proxy.go (one request), plan.go and
// choose.go (where it goes), then handover.go (how a router is replaced) and
// client.go (how the runner finds or starts it).
package router
