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

// maxProxies is how many ranges of addresses are believed.
const maxProxies = route.MaxTrusted

// readProxies are the addresses of what stands in front of the router, as
// ranges. They differ by environment, as load balancers do.
func readProxies(o *object) []netip.Prefix {
	said, at := o.strings("trustedProxies"), o.at("trustedProxies")
	if len(said) > maxProxies {
		o.r.problem(at, fmt.Sprintf("there are %d, and at most %d are taken", len(said), maxProxies), "name the ranges that they are in: 10.0.0.0/8")
		return nil
	}
	var out []netip.Prefix
	for i, s := range said {
		p, err := netip.ParsePrefix(s)
		if a, no := netip.ParseAddr(s); no == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			o.r.problem(fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%q is no IP address and no range of them", s), "write the address of the proxy in front, or its range: 10.0.0.0/8")
			continue
		}
		out = append(out, p.Masked())
	}
	return out
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
