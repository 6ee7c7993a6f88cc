package replicate

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
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
		return t.inClear(req, req.Body)
	}
	resp, err := t.next.RoundTrip(req)
	var noTLS tls.RecordHeaderError
	if !errors.As(err, &noTLS) || string(noTLS.RecordHeader[:]) != "HTTP/" {
		return resp, err
	}
	body := req.Body
	if body != nil && body != http.NoBody { // it was closed, and nothing of it was sent
		if req.GetBody == nil {
			return nil, err
		}
		var bodyErr error
		if body, bodyErr = req.GetBody(); bodyErr != nil {
			return nil, errors.Join(err, bodyErr)
		}
	}
	t.clear.Store(host, true)
	return t.inClear(req, body)
}

// inClear sends a request without TLS. Who sent it is told that it is the answer to
// that, and that what goes on at the same host goes on so: an answer from somewhere else
// is shown no login, and an upload that is led away from TLS is given up.
func (t *thisMachine) inClear(req *http.Request, body io.ReadCloser) (*http.Response, error) {
	again := req.Clone(req.Context())
	again.URL.Scheme, again.Body = "http", body
	resp, err := t.next.RoundTrip(again)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	if on, err := url.Parse(resp.Header.Get("Location")); err == nil && on.Scheme == "http" && on.Host == req.URL.Host {
		on.Scheme = "https"
		resp.Header.Set("Location", on.String())
	}
	return resp, nil
}
