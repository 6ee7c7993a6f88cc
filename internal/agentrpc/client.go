package agentrpc

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Client makes the calls of the protocol. It doesn't retry: the agent's loops
// do. A server that can't be reached is an error of kind unavailable.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// NewClient calls the server at baseURL ("http://127.0.0.1:7420") with a bearer
// token. The http.Client must have no overall timeout: claims wait, blobs are
// large, and every call has a context.
func NewClient(baseURL, token string, client *http.Client) *Client {
	return &Client{base: strings.TrimRight(baseURL, "/"), token: token, http: client}
}

// callTimeout bounds every call but Claim and Blob.
const callTimeout = 30 * time.Second

// Hello begins a session.
func (c *Client) Hello(ctx context.Context, req HelloRequest) (HelloResponse, error) {
	return call[HelloResponse](ctx, c, "hello", req, callTimeout)
}

// Claim asks for up to limit operations and waits up to wait for the first.
func (c *Client) Claim(ctx context.Context, session string, limit int, wait time.Duration) ([]towpath.Operation, error) {
	req := ClaimRequest{Session: session, Max: limit, Wait: wait}
	resp, err := call[ClaimResponse](ctx, c, "claim", req, wait+callTimeout)
	return resp.Operations, err
}

// Renew extends leases; it answers for each operation asked for.
func (c *Client) Renew(ctx context.Context, session string, ops []OperationFence) ([]RenewResult, error) {
	resp, err := call[RenewResponse](ctx, c, "renew", RenewRequest{Session: session, Operations: ops}, callTimeout)
	return resp.Results, err
}

// Report records progress; it may be repeated with the same seq.
func (c *Client) Report(ctx context.Context, req ReportRequest) error {
	_, err := call[struct{}](ctx, c, "report", req, callTimeout)
	return err
}

// Finish ends an operation; it may be repeated.
func (c *Client) Finish(ctx context.Context, req FinishRequest) (FinishStatus, error) {
	resp, err := call[FinishResponse](ctx, c, "finish", req, callTimeout)
	return resp.Status, err
}

// Observe says what really runs.
func (c *Client) Observe(ctx context.Context, req ObserveRequest) error {
	_, err := call[struct{}](ctx, c, "observe", req, callTimeout)
	return err
}

// Count says what was counted of targets whose traffic is shared, and before.
func (c *Client) Count(ctx context.Context, req CountRequest) error {
	_, err := call[struct{}](ctx, c, "count", req, callTimeout)
	return err
}

// Sample says metrics of what runs.
func (c *Client) Sample(ctx context.Context, req SampleRequest) error {
	_, err := call[struct{}](ctx, c, "sample", req, callTimeout)
	return err
}

func call[Resp any](ctx context.Context, c *Client, name string, req any, timeout time.Duration) (Resp, error) {
	var zero, out Resp
	op := "agent." + name
	body, err := json.Marshal(req)
	if err != nil {
		return zero, towpath.E(towpath.KindInternal, op, "the request can't be encoded").WithCause(err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.do(ctx, http.MethodPost, name, bytes.NewReader(body))
	if err != nil {
		return zero, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxResponse)).Decode(&out); err != nil {
		return zero, towpath.E(towpath.KindUnavailable, op, "the server's answer can't be read").WithCause(err)
	}
	return out, nil
}

// do makes a request and turns what is no success into an error.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	op, _, _ := strings.Cut(path, "/")
	op = "agent." + op
	req, err := http.NewRequestWithContext(ctx, method, c.base+prefix+path, body)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the server's URL is not valid").On(c.base).WithCause(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, op, "the server can't be reached").On(c.base).WithCause(err).
			WithHint("check the server's URL and that it runs; the agent tries again by itself")
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readProblem(op, resp)
	}
	return resp, nil
}

// Blob opens a blob. Reading to its end gives an error instead of [io.EOF] when
// the bytes are not those of the digest: nothing may be used before that. The
// caller closes it.
func (c *Client) Blob(ctx context.Context, digest towpath.Digest) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, "blobs/"+url.PathEscape(string(digest)), nil) //nolint:bodyclose // the caller closes it
	if err != nil {
		return nil, err
	}
	return newVerifier(resp.Body, digest), nil
}
