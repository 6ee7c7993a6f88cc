package router

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// Limits of connections from clients.
const (
	headerTimeout = 30 * time.Second // for a request's head to arrive
	idleTimeout   = 2 * time.Minute  // between requests
	maxHeader     = 1 << 20          // bytes
	maxStreams    = 250              // of an HTTP/2 connection
	pingAfter     = 30 * time.Second // of silence on an HTTP/2 connection that has streams
	pingTimeout   = 15 * time.Second
)

// frontServer is the side of the router that clients see: a listener and the
// server on it.
type frontServer struct {
	http     *http.Server
	listener net.Listener
}

func newFrontServer(ln net.Listener, h http.Handler, s *shared) *frontServer {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &frontServer{listener: ln, http: &http.Server{
		Handler: h, Protocols: protocols, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ConnState: s.connection,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: route.DefaultStall,
		},
	}}
}

// connection counts the connections of clients.
func (s *shared) connection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateHijacked, http.StateClosed:
		s.connections.Add(-1)
	}
}

func (f *frontServer) start() {
	go func() { _ = f.http.Serve(f.listener) }() // ends with the listener
}
