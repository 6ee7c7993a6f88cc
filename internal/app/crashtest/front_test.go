package crashtest_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// front is an address that stays while the server behind it dies and comes
// back on another port. Connections break with the server's, as they would
// without it.
type front struct {
	listener net.Listener
	mu       sync.Mutex
	backend  string
}

func newFront(t testing.TB) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: l}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { f.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close() }) // connections end with the processes that have them
	return f
}

func (f *front) url() string { return "http://" + f.listener.Addr().String() }

func (f *front) leadTo(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backend = address
}

func (f *front) serve(client net.Conn) {
	defer client.Close()
	f.mu.Lock()
	address := f.backend
	f.mu.Unlock()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var ended sync.WaitGroup
	ended.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	_, _ = io.Copy(client, server)
	_ = client.Close()
	ended.Wait()
}
