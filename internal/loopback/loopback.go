// Package loopback owns the answer to whether a host is this machine, on which
// what is sent without TLS is read by nobody else. It asks no name server.
package loopback

import (
	"net/netip"
	"net/url"
	"strings"
)

// Host reports whether a host, with or without a port, is this machine:
// localhost, or an address such as 127.0.0.1:80, ::1 and [::1]:80. A name below
// localhost is not, since name servers are asked for it. It makes no URL valid.
func Host(host string) bool {
	address, err := netip.ParseAddr(host) // an IPv6 address that stands alone has no port
	if err == nil {
		return address.IsLoopback()
	}
	name := (&url.URL{Host: host}).Hostname()
	if address, err = netip.ParseAddr(name); err == nil {
		return address.IsLoopback()
	}
	return strings.EqualFold(name, "localhost")
}
