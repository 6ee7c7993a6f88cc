package build

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/kind/process/route"
)

// anyPort lets the place choose a port once and keep it.
const anyPort = "127.0.0.1:0"

func readListen(o *object) string { return readAddress(o, "listen") }

// readPreview is empty without one.
func readPreview(o *object) string {
	if !o.has("preview") {
		return ""
	}
	return readAddress(o, "preview")
}

func readAddress(o *object, key string) string {
	s := o.str(key, anyPort)
	at, hint := o.at(key), "write an IP address and a port: 127.0.0.1:8081; port 0 is chosen once and kept"
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		o.r.problem(at, fmt.Sprintf("%q is no address", s), hint)
		return anyPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		o.r.problem(at, fmt.Sprintf("%q is no port", port), hint)
		return anyPort
	}
	if a, err := netip.ParseAddr(host); err != nil || a.Zone() != "" {
		o.r.problem(at, fmt.Sprintf("%q is no IP address", host), hint+"; 0.0.0.0 is all addresses of the place")
		return anyPort
	}
	return s
}

// readProtocol is what the program speaks, as the router knows it. It is the
// release's: no environment changes what a program speaks.
func readProtocol(o *object) route.Protocol {
	const http1 = "http1"
	s := o.str("protocol", http1)
	switch s {
	case http1:
	case string(route.H2C):
		return route.H2C
	default:
		o.r.problem(o.at("protocol"), fmt.Sprintf("%q is no protocol that instances can speak", s), didyoumean.Hint(s, []string{http1, string(route.H2C)}))
	}
	return route.HTTP1
}

func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}
