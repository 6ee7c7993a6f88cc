package cli

import (
	"sync"
	"time"
)

// steps shows what an app reports about its work.
type steps struct {
	mu     sync.Mutex
	screen screen
	now    func() time.Time
	title  string
	tree   []branch
	over   bool
	stop   chan struct{}
	done   chan struct{}
}

// newSteps starts to show; end stops it.
func (s *session) newSteps(title string) *steps {
	t := &steps{screen: s.newScreen(), now: s.apps.Now, stop: make(chan struct{}), done: make(chan struct{}), title: title}
	go t.refresh()
	return t
}

// refresh keeps times running and silence short.
func (t *steps) refresh() {
	defer close(t.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-tick.C:
			t.mu.Lock()
			t.draw()
			t.mu.Unlock()
		}
	}
}

// report is a [Progress].
func (t *steps) report(s Step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	i := 0
	for ; i < len(t.tree) && t.tree[i].name != s.Name; i++ {
	}
	if i == len(t.tree) {
		t.tree = append(t.tree, branch{name: s.Name})
	}
	b := &t.tree[i]
	if s.State != StepPending && b.began.IsZero() {
		b.began = now
	}
	if s.State == StepDone || s.State == StepFailed || s.State == StepSkipped {
		b.ended = now
	}
	b.state, b.detail, b.count, b.log = s.State, s.Detail, s.Count, s.Log
	t.draw()
}

// say prints a line beside the steps.
func (t *steps) say(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.screen.say(text, t.now())
	t.draw()
}

func (t *steps) draw() {
	if len(t.tree) > 0 {
		t.screen.show(view{title: t.title, tree: t.tree, over: t.over}, t.now())
	}
}

func (t *steps) end() {
	close(t.stop)
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.draw()
}
