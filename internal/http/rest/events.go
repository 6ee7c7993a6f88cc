package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

// watchBatch is how many entries a watch reads at once.
const watchBatch = 200

func (a *API) eventRoutes() {
	registerRaw(a, route{
		id: "watch-events", method: http.MethodGet, path: "/projects/{project}/events", tag: "audit", policy: Authenticated,
		summary: "Watch the ledger of a project as server-sent events", unbounded: true,
	}, func(op *huma.Operation) {
		op.Description = "Each event has the entry's seq as its id, its action as its name and the entry as its data. " +
			"A watch ends from time to time; reconnect with Last-Event-ID. Comments keep the connection alive."
		op.Responses["200"] = &huma.Response{Description: "A stream of entries", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}
		op.Parameters = append(op.Parameters,
			&huma.Param{Name: "project", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}},
			&huma.Param{Name: "after", In: "query", Description: "entries with a greater seq; absent: from now on", Schema: &huma.Schema{Type: huma.TypeInteger}},
			&huma.Param{Name: "Last-Event-ID", In: "header", Description: "overrides after", Schema: &huma.Schema{Type: huma.TypeInteger}})
	}, a.watchEvents)
}

func (a *API) watchEvents(w http.ResponseWriter, req *http.Request, actor towpath.Actor) error {
	select {
	case a.watches <- struct{}{}:
		defer func() { <-a.watches }()
	default:
		return towpath.E(towpath.KindExhausted, "rest.watch", "the server has %d watches open, which is its limit", cap(a.watches)).
			WithHint("close some, or raise the limit")
	}
	watch := watch{
		a: a, actor: actor, w: w, control: http.NewResponseController(w),
		project: towpath.ProjectName(req.PathValue("project")),
	}
	if err := watch.start(req); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(req.Context(), a.cfg.WatchFor)
	defer cancel()
	return watch.run(ctx)
}

// watch is one client that follows the ledger.
type watch struct {
	a       *API
	actor   towpath.Actor
	project towpath.ProjectName
	w       http.ResponseWriter
	control *http.ResponseController
	after   int64
	sent    time.Time // when something was sent last
}

// start finds where to begin and asks the use case once, so that a refusal is
// an ordinary problem, and begins to answer.
func (s *watch) start(req *http.Request) error {
	position := req.URL.Query().Get("after")
	if last := req.Header.Get("Last-Event-ID"); last != "" {
		position = last
	}
	ctx, cancel := context.WithTimeout(req.Context(), s.a.cfg.Timeout)
	defer cancel()
	newest, err := s.a.deps.Services.Audit.Events(ctx, s.actor, ledger.Filter{Project: s.project, Limit: 1, Descending: true})
	if err != nil {
		return err
	}
	if position == "" {
		if len(newest) > 0 {
			s.after = newest[0].Seq
		}
	} else if s.after, err = strconv.ParseInt(position, 10, 64); err != nil || s.after < 0 {
		return towpath.E(towpath.KindInvalid, "rest.watch", "%q is not a seq", position).WithHint("after and Last-Event-ID take the id of an event")
	}
	// Before it sends anything the server reads a body that nobody needs.
	_ = s.control.SetReadDeadline(s.a.cfg.Now().Add(s.a.cfg.Heartbeat))
	defer func() { _ = s.control.SetReadDeadline(time.Time{}) }()
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("X-Accel-Buffering", "no")
	return s.send(": towpath\n\n")
}

// run sends what is new until ctx ends. Once it has begun to answer there is
// nobody to tell an error: the client reconnects where it was.
func (s *watch) run(ctx context.Context) error {
	timer := time.NewTimer(s.a.cfg.Poll)
	defer timer.Stop()
	for {
		changed := s.changed() // before looking: what comes between is not missed
		more, err := s.page(ctx)
		if err != nil && ctx.Err() == nil {
			_ = s.a.router.problem(ctx, err) // for the log: the answer has begun
		}
		if err != nil {
			return nil
		}
		if more {
			continue
		}
		timer.Reset(s.a.cfg.Poll)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-timer.C:
		}
		if s.a.cfg.Now().Sub(s.sent) >= s.a.cfg.Heartbeat && s.send(": still here\n\n") != nil {
			return nil
		}
	}
}

// changed is closed when this server has more entries; nil, which never is,
// when nobody says so.
func (s *watch) changed() <-chan struct{} {
	if s.a.deps.Changed == nil {
		return nil
	}
	return s.a.deps.Changed()
}

// page sends the next entries and tells whether there may be more.
func (s *watch) page(ctx context.Context) (more bool, err error) {
	entries, err := s.a.deps.Services.Audit.Events(ctx, s.actor, ledger.Filter{Project: s.project, AfterSeq: s.after, Limit: watchBatch})
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		data, err := json.Marshal(e)
		if err != nil {
			return false, err
		}
		if err := s.send(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Event.Action, data)); err != nil {
			return false, err
		}
		s.after = e.Seq
	}
	return len(entries) == watchBatch, nil
}

func (s *watch) send(text string) error {
	s.sent = s.a.cfg.Now()
	_ = s.control.SetWriteDeadline(s.sent.Add(2 * s.a.cfg.Heartbeat))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
