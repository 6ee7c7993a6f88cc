package loopback_test

import (
	"testing"

	"github.com/towpath/towpath/internal/loopback"
)

func TestHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "localhost:5000": true,
		"127.0.0.1": true, "127.0.0.1:5000": true, "127.8.8.8": true,
		"::1": true, "[::1]": true, "[::1]:5000": true, "::ffff:127.0.0.1": true, "::1%lo": true,

		"": false, ":5000": false, "0.0.0.0": false, "0.0.0.0:5000": false, "[::]:5000": false, "10.0.0.1": false,
		"::ffff:10.0.0.1": false, "128.0.0.1": false, "127.0.0.1.example.com": false, "localhost.example.com": false,
		"registry.localhost": false, "notlocalhost": false, "example.com:127": false, "2130706433": false, "localhost@example.com": false,
	} {
		if got := loopback.Host(host); got != want {
			t.Errorf("%q is this machine: %v", host, got)
		}
	}
}
