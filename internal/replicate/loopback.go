package replicate

import (
	"errors"
	"net/http"
	"sync"

	"github.com/towpath/towpath/internal/towpath"
)

// thisMachine speaks to registries on this machine without TLS when they have none,
// as docker and oras do: nobody else reads what is sent there. To other machines
// it sends no login without TLS, wherever a registry leads.
type thisMachine struct {
	next  http.RoundTripper
	clear sync.Map // hosts that have no TLS
}

// RoundTrip implements [http.RoundTripper].
func (t *thisMachine) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	if !Loopback(host) {
		// What a login is asked for with is in a header, or in the body of a POST.
		if req.URL.Scheme == "http" && (req.Header.Get("Authorization") != "" || req.Method == http.MethodPost) {
			if req.Body != nil {
				_ = req.Body.Close() // it is not sent
			}
			return nil, towpath.E(towpath.KindInvalid, "replicate.remote", "the registry on this machine leads to another one without TLS").On(host).
				WithHint("nothing was sent there; let it lead to https://")
		}
		return t.next.RoundTrip(req)
	}
	if req.URL.Scheme != "https" {
		return t.next.RoundTrip(req)
	}
	if _, known := t.clear.Load(host); known {
		return t.next.RoundTrip(inClear(req))
	}
	resp, err := t.next.RoundTrip(req)
	if !errors.Is(err, http.ErrSchemeMismatch) {
		return resp, err
	}
	again := inClear(req)
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return nil, err
		}
		body, bodyErr := req.GetBody()
		if bodyErr != nil {
			return nil, errors.Join(err, bodyErr)
		}
		again.Body = body
	}
	t.clear.Store(host, true)
	return t.next.RoundTrip(again)
}

// inClear is the same request without TLS.
func inClear(req *http.Request) *http.Request {
	out := req.Clone(req.Context())
	out.URL.Scheme = "http"
	return out
}
