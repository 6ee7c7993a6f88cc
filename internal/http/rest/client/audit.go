package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

// Server says what the server is, without a token.
func (c *Client) Server(ctx context.Context) (api.Server, error) {
	return ask[api.Server](ctx, c, get("/server", nil))
}

// Me is the account that the token belongs to.
func (c *Client) Me(ctx context.Context) (api.Me, error) {
	return ask[api.Me](ctx, c, get("/me", nil))
}

// EventFilter selects entries of the ledger; zero fields select all.
type EventFilter struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName
	Subject     string
	Action      string
	After       int64 // entries with a greater seq
	Before      int64 // entries with a smaller seq; 0 is all
	Limit       int
	Newest      bool // newest first
}

// Events is a page of the ledger.
func (c *Client) Events(ctx context.Context, f EventFilter) (api.Events, error) {
	q := url.Values{}
	set(q, "project", f.Project)
	set(q, "environment", f.Environment)
	set(q, "subject", f.Subject)
	set(q, "action", f.Action)
	for name, n := range map[string]int64{"after": f.After, "before": f.Before, "limit": int64(f.Limit)} {
		if n > 0 {
			q.Set(name, strconv.FormatInt(n, 10))
		}
	}
	if f.Newest {
		q.Set("newest", "true")
	}
	return ask[api.Events](ctx, c, get("/audit/events", q))
}

// Verify has the server verify the whole ledger, against a checkpoint that was
// kept here; empty is none.
func (c *Client) Verify(ctx context.Context, trusted string) (ledger.Report, error) {
	return ask[ledger.Report](ctx, c, call{
		method: http.MethodPost, path: "/audit/verify", body: api.VerifyLedger{Trusted: trusted}, long: true,
	})
}

// Checkpoint is the ledger's newest signed checkpoint.
func (c *Client) Checkpoint(ctx context.Context) (api.Checkpoint, error) {
	return ask[api.Checkpoint](ctx, c, get("/audit/checkpoint", nil))
}

// Export writes the ledger as JSON lines. After an error w may hold a part: it
// is not repeated.
func (c *Client) Export(ctx context.Context, w io.Writer) error {
	k := get("/audit/export", nil)
	k.long = true
	return c.do(ctx, k, func(r *http.Response) error {
		out := &marked{w: w}
		_, err := io.Copy(out, r.Body)
		if err == nil || out.err != nil {
			return out.err
		}
		return withRequest(towpath.E(towpath.KindInternal, "", "the export was cut off").
			WithHint("what was written is not whole; export again").WithCause(err), r.Header.Get(api.HeaderRequestID))
	})
}

// marked tells an error of the writer from one of the reader.
type marked struct {
	w   io.Writer
	err error
}

func (m *marked) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	if err != nil {
		m.err = err
	}
	return n, err
}

// Ready says whether the server can work, and what is wrong if it can't.
func (c *Client) Ready(ctx context.Context) (out api.Readiness, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/readyz", nil)
	if err != nil {
		return out, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return out, c.unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&out); err != nil {
		return out, unreadable(resp, err)
	}
	return out, nil
}
