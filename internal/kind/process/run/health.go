package run

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
)

// healthy probes an instance once: nil when GET of the health path is answered
// with 2xx or 3xx in time, or gRPC's own question with "serving".
func (r *Runner) healthy(ctx context.Context, address string, spec process.Spec) error {
	h := spec.Health
	if h.GRPC {
		return r.serving(ctx, address, h.Timeout)
	}
	status, _, err := r.request(ctx, spec.Protocol, http.MethodGet, "http://"+address+h.Path, h.Timeout)
	if err != nil {
		return err
	}
	if status < 200 || status > 399 {
		return fmt.Errorf("GET %s answered %d", h.Path, status)
	}
	return nil
}

// maxBody is how much of an answer is looked at, in bytes.
const maxBody = 1 << 20

// newProbes are clients of instances, one for each protocol that they speak. Each
// request has a connection of its own.
func newProbes() map[route.Protocol]*http.Client {
	probe := func(set func(*http.Protocols)) *http.Client {
		p := &http.Protocols{}
		set(p)
		return &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil, Protocols: p},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return map[route.Protocol]*http.Client{
		route.HTTP1: probe(func(p *http.Protocols) { p.SetHTTP1(true) }),
		route.H2C:   probe(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }),
	}
}

// request makes one request and gives the status and the start of the body.
func (r *Runner) request(ctx context.Context, speaks route.Protocol, method, url string, timeout time.Duration) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := r.probes[speaks].Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, body, err
}
