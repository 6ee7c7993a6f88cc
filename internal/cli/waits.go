package cli

import (
	"sync"
	"time"

	"github.com/towpath/towpath/internal/replicate"
)

// waits says what holds a copy up, whether steps are shown or not.
type waits struct {
	mu    sync.Mutex
	steps *steps               // that are shown now
	last  map[string]time.Time // said, by what it was about
}

// beside has it said beside steps; nil: by itself.
func (w *waits) beside(t *steps) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = t
}

// due reports whether a thing is said now: several blobs wait for one registry at
// once, and each tries again and again.
func (w *waits) due(x replicate.Wait, now time.Time) (*steps, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	about := x.Host + " " + x.Why
	if last, ok := w.last[about]; ok && now.Sub(last) < silence {
		return nil, false
	}
	if w.last == nil {
		w.last = map[string]time.Time{}
	}
	w.last[about] = now
	return w.steps, true
}

// waitsFor is told what a copy waits for, from several goroutines.
func (s *session) waitsFor(x replicate.Wait) {
	now := s.apps.Now()
	shown, ok := s.waits.due(x, now)
	switch {
	case !ok:
	case shown != nil:
		shown.say("waiting: " + x.String())
	default:
		s.say("%s waiting: %s", now.Format(time.TimeOnly), x)
	}
}

// patiently is how places are asked.
func (s *session) patiently() replicate.Config { return replicate.Config{Waits: s.waitsFor} }
