package run

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
)

// healthy probes an instance once: nil when GET of the health path is answered
// with 2xx or 3xx in time.
func (r *Runner) healthy(ctx context.Context, address string, h process.Health) error {
	status, _, err := r.request(ctx, http.MethodGet, "http://"+address+h.Path, h.Timeout)
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

// request makes one request and gives the status and the start of the body.
func (r *Runner) request(ctx context.Context, method, url string, timeout time.Duration) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := r.probe.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, body, err
}
