// Package router is the data plane of the process kind: a process of its own
// that listens on every component's address and proxies HTTP/1.1 requests,
// streams and websockets to the instances of the revision that has the
// traffic. It outlives the agent that started it.
//
// It knows routes and counts requests; it knows nothing of releases, health or
// rollouts, and decides nothing by itself. Its configuration is config.json in
// its folder, which only it writes, before a change takes effect; changes and
// status go through a Unix socket there.
//
// Start reading at server.go (the process), proxy.go (one request), then
// client.go (how the runner finds or starts it).
package router
