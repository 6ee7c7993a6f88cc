package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

// maxLine bounds a line of a stream, in bytes.
const maxLine = 1 << 20

// FromNow is the position of whoever wants only what comes.
const FromNow int64 = -1

// Watch calls handle for each entry of a project's ledger after a seq, in
// order, without gaps and repetitions, until ctx ends or handle returns an
// error. It reconnects where it was, as long as the server may come back.
func (c *Client) Watch(ctx context.Context, p towpath.ProjectName, after int64, handle func(ledger.Entry) error) error {
	for failures := 0; ; {
		if after == FromNow {
			var err error
			if after, err = c.Newest(ctx, p); err != nil {
				return err
			}
		}
		at := after
		err := c.stream(ctx, p, &after, handle)
		var stopped stop
		switch {
		case errors.As(err, &stopped):
			return stopped.error
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !again(err):
			return err
		}
		if failures++; err == nil || after > at {
			failures = 1
		}
		if err := pause(ctx, c.cfg.Backoff.Delay(failures)); err != nil {
			return err
		}
	}
}

// Newest is the seq of a project's newest entry, 0 before the first: whoever
// asks for it before looking at something can watch from there on without
// missing a change.
func (c *Client) Newest(ctx context.Context, p towpath.ProjectName) (int64, error) {
	page, err := c.Events(ctx, EventFilter{Project: p, Limit: 1, Newest: true})
	if err != nil || len(page.Items) == 0 {
		return 0, err
	}
	return page.Items[0].Seq, nil
}

// stop carries an error of the caller's handler.
type stop struct{ error }

// stream follows one connection. It returns nil when the server ends it.
func (c *Client) stream(ctx context.Context, p towpath.ProjectName, after *int64, handle func(ledger.Entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(c.cfg.Quiet, cancel)
	defer quiet.Stop()
	k := get(projectPath(p, "/events"), nil)
	k.long = true
	k.header = http.Header{"Accept": {"text/event-stream"}, "Last-Event-Id": {strconv.FormatInt(*after, 10)}}
	_, err := c.attempt(ctx, k, func(r *http.Response) error {
		lines := bufio.NewScanner(r.Body)
		lines.Buffer(make([]byte, 0, 64<<10), maxLine)
		for lines.Scan() {
			quiet.Reset(c.cfg.Quiet)
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
			if !ok {
				continue
			}
			var e ledger.Entry
			if err := json.Unmarshal(data, &e); err != nil {
				return unreadable(r, err)
			}
			if e.Seq <= *after {
				continue
			}
			if err := handle(e); err != nil {
				return stop{err}
			}
			*after = e.Seq
		}
		if err := lines.Err(); err != nil {
			return unreadable(r, err)
		}
		return nil
	})
	return err
}
