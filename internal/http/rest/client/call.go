package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// call is one call of the API, over all its attempts.
type call struct {
	method string
	path   string // escaped, below [api.Base]
	root   bool   // path is below the server's root
	query  url.Values
	body   any                           // sent as JSON
	open   func() (io.ReadCloser, error) // sent raw, opened for each attempt
	size   int64                         // bytes of open
	key    string                        // idempotency key, the same for each attempt
	long   bool                          // no time limit on an attempt
	header http.Header
}

func get(path string, query url.Values) call {
	return call{method: http.MethodGet, path: path, query: query}
}

// post is a change: the server does it once however often it is sent.
func post(path string, body any) call {
	return call{method: http.MethodPost, path: path, body: body, key: rand.Text()}
}

// ask does a call and decodes its answer.
func ask[T any](ctx context.Context, c *Client, k call) (out T, err error) {
	err = c.do(ctx, k, func(r *http.Response) error {
		if err := json.NewDecoder(r.Body).Decode(&out); err != nil {
			return unreadable(r, err)
		}
		return nil
	})
	return out, err
}

// tell does a call whose answer says nothing.
func (c *Client) tell(ctx context.Context, k call) error {
	err := c.do(ctx, k, func(r *http.Response) error {
		_, err := io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
		return err
	})
	if _, made := madeBefore(err); made {
		return nil
	}
	return err
}

// do attempts a call until it is answered, and hands over a successful answer.
// What is worth another attempt: no answer at all, a server that says it is
// not available, and a change of ours that is still being made.
func (c *Client) do(ctx context.Context, k call, use func(*http.Response) error) error {
	for failures := 1; ; failures++ {
		after, err := c.attempt(ctx, k, use)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failures >= c.cfg.Attempts || !again(err) {
			return err
		}
		if err := pause(ctx, max(after, c.cfg.Backoff.Delay(failures))); err != nil {
			return err
		}
	}
}

func (c *Client) attempt(ctx context.Context, k call, use func(*http.Response) error) (retryAfter time.Duration, err error) {
	if !k.long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
	}
	req, err := c.request(ctx, k)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, c.unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusMultipleChoices {
		return retryAfterOf(resp), problemOf(resp)
	}
	return 0, use(resp)
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	var body io.Reader
	size, contentType := int64(0), ""
	switch {
	case k.open != nil:
		r, err := k.open()
		if err != nil {
			return nil, err
		}
		body, size, contentType = r, k.size, "application/octet-stream"
	case k.body != nil:
		b, err := json.Marshal(k.body)
		if err != nil {
			return nil, err
		}
		body, size, contentType = bytes.NewReader(b), int64(len(b)), "application/json"
	}
	target := c.base + api.Base + k.path
	if k.root {
		target = c.base + k.path
	}
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, err
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	req.ContentLength = size
	if contentType != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+string(c.cfg.Token))
	}
	if k.key != "" {
		req.Header.Set(api.HeaderIdempotencyKey, k.key)
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	return req, nil
}

// again reports whether the same call may succeed later.
func again(err error) bool {
	var e *towpath.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Kind == towpath.KindUnavailable || e.Fields[api.FieldIdempotency] == api.InFlight
}

// madeBefore is the ID of what a change made whose answer was lost with the
// server that made it.
func madeBefore(err error) (id string, made bool) {
	var e *towpath.Error
	if !errors.As(err, &e) || e.Fields[api.FieldIdempotency] != api.AnswerLost {
		return "", false
	}
	id = e.Fields[api.FieldSubject]
	return id, id != ""
}

func retryAfterOf(r *http.Response) time.Duration {
	seconds, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, 10*time.Second)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
