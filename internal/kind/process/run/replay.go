package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// replayers is how many recorded requests are under way at once at most.
const replayers = 16

// replayWithin is how long an answer may take where the job does not say.
const replayWithin = 10 * time.Second

// replay sends recorded requests again, in their order, at the rate of the job
// and to each address in turn, and holds each answer against the recorded one.
func (r *Runner) replay(ctx context.Context, w kind.Work, speaks route.Protocol, j process.Job, addresses []string) error {
	files, err := w.Files(ctx)
	if err != nil {
		return err
	}
	list, err := readRecording(files, j.Replay.Requests, j.Replay.Methods)
	if err != nil {
		return &kind.Failure{Message: fmt.Sprintf("the verification job %s has nothing to replay: %v", j.Name, err)}
	}
	each, limit := time.Second/time.Duration(j.Replay.Rate), orElse(j.Timeout, defaultJobTimeout)
	if takes := time.Duration(len(list)) * each; takes > limit {
		return &kind.Failure{Message: fmt.Sprintf("the verification job %s can't replay %d requests, %d a second, within %s: it takes a longer timeout or a higher rate",
			j.Name, len(list), j.Replay.Rate, limit)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type sent struct {
		recorded
		address string
	}
	todo := make(chan sent)
	var said answers
	var wg sync.WaitGroup
	for range min(replayers, len(list)) {
		wg.Go(func() {
			for s := range todo {
				wrong, err := r.resend(ctx, speaks, j, s.recorded, s.address)
				if err != nil {
					cancel(err)
				}
				said.add(wrong)
			}
		})
	}
	tick := time.NewTicker(each)
	defer tick.Stop()
	for i, q := range list {
		if ctx.Err() != nil {
			break
		}
		select {
		case todo <- sent{q, addresses[i%len(addresses)]}:
		case <-ctx.Done():
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	close(todo)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return said.verdict(j, len(list))
}

// resend sends one request and says what is wrong with its answer. It errs when
// there is none to hold against the release.
func (r *Runner) resend(ctx context.Context, speaks route.Protocol, j process.Job, q recorded, address string) (wrong string, err error) {
	limit := orElse(j.Replay.Within, replayWithin)
	one, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(one, q.method, "http://"+address+q.target, strings.NewReader(q.body))
	if err != nil {
		return fmt.Sprintf("%s %s can't be sent", q.method, q.target), nil
	}
	req.Header = q.header.Clone()
	if q.host != "" {
		req.Host = q.host
	}
	resp, err := r.probes[speaks].Do(req)
	if err == nil {
		defer resp.Body.Close()
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") { // events have no end to wait for
			_, err = io.Copy(io.Discard, resp.Body)
		}
	}
	var dial *net.OpError
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &dial) && dial.Op == "dial":
		return "", towpath.E(towpath.KindUnavailable, "process.verify", "the address can't be connected to").On(address).WithCause(err)
	case one.Err() != nil:
		return fmt.Sprintf("%s %s took longer than %s", q.method, q.target, limit), nil
	case err != nil:
		return fmt.Sprintf("%s %s got no whole answer", q.method, q.target), nil
	case q.status != 0 && resp.StatusCode != q.status:
		return fmt.Sprintf("%s %s answered %d, and %d when it was recorded", q.method, q.target, resp.StatusCode, q.status), nil
	case q.status == 0 && resp.StatusCode >= http.StatusInternalServerError:
		return fmt.Sprintf("%s %s answered %d", q.method, q.target, resp.StatusCode), nil
	}
	return "", nil
}

// answers counts those that are wrong, and keeps the first ones.
type answers struct {
	mu    sync.Mutex
	wrong int
	first []string
}

func (a *answers) add(wrong string) {
	if wrong == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrong++
	if len(a.first) < 10 {
		a.first = append(a.first, wrong)
	}
}

// verdict is the failure of a job of which more answers are wrong than may be.
func (a *answers) verdict(j process.Job, n int) error {
	if float64(a.wrong)*100 <= j.Replay.Allow*float64(n) {
		return nil
	}
	return &kind.Failure{
		Message: fmt.Sprintf("the verification job %s: %d of %d recorded requests were answered wrongly, and %g %% may be; the first: %s", j.Name, a.wrong, n, j.Replay.Allow, a.first[0]),
		Log:     a.first,
	}
}
