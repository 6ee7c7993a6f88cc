package run

import (
	"io"
	"net"
)

// reservePort has the system choose a port and leaves it in TIME_WAIT: for a
// minute the kernel gives it to nobody who asks for any port, while a server
// that binds it with SO_REUSEADDR (as servers do) succeeds. For that a
// connection to it is accepted and closed, by the accepting side first.
func reservePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		return 0, err
	}
	if err := server.Close(); err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, client); err != nil { // until the other side's FIN
		return 0, err
	}
	return ln.Addr().(*net.TCPAddr).Port, nil
}
