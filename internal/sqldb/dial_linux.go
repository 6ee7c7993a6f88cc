package sqldb

import (
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// bound bounds how long what was sent may stay without an answer of the other
// machine.
func bound(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil // a socket of this machine
	}
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(ackedWithin.Milliseconds()))
	})
	return errors.Join(err, set)
}
