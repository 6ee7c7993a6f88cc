package sqldb

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDialer: a connection to PostgreSQL fails within half a minute of its other
// end's vanishing. What can be seen without a network that loses everything is what
// the kernel was told.
func TestDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	pc, err := postgresConfig("postgres://u@" + l.Addr().String() + "/d")
	if err != nil || pc.ConnectTimeout != 10*time.Second {
		t.Fatal(pc.ConnectTimeout, err)
	}
	c, err := pc.DialFunc(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ level, option, want int }{
		"what was sent, in ms": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30_000},
		"whether it is asked":  {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		"after, in s":          {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 10},
		"every, in s":          {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
		"times":                {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	} {
		var got int
		var failed error
		if err := raw.Control(func(fd uintptr) { got, failed = unix.GetsockoptInt(int(fd), tt.level, tt.option) }); err != nil || failed != nil || got != tt.want {
			t.Errorf("%s: %d, want %d (%v, %v)", name, got, tt.want, err, failed)
		}
	}
	if given, err := postgresConfig("postgres://u@h/d?connect_timeout=3"); err != nil || given.ConnectTimeout != 3*time.Second {
		t.Errorf("%v, %v", given.ConnectTimeout, err)
	}
}
