package main

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"time"
)

// What clients do.
const (
	patience  = 1500 * time.Millisecond // of a client with one try
	tries     = 3
	firstWait = 100 * time.Millisecond // before the second try; doubles
	atOnce    = 400                    // tries under way, at most
)

// load is clients: their number wanders from second to second, some come in
// crowds, and who gets no answer, or a bad one, tries again.
type load struct {
	url    string
	rate   float64
	client *http.Client
	room   chan struct{}
}

func newLoad(url string, rate float64) *load {
	return &load{
		url: url, rate: rate, room: make(chan struct{}, atOnce),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
}

// run sends requests until ctx ends. A tenth of them are crowds of ten to thirty
// at the same moment.
func (l *load) run(ctx context.Context) {
	const keep, deviation, step = 0.97, 0.4, 20 * time.Millisecond
	const crowds, crowd = 0.1, 20
	tick := time.NewTicker(step)
	defer tick.Stop()
	state := 0.0
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if n%int(time.Second/step) == 0 {
			state = keep*state + math.Sqrt(1-keep*keep)*deviation*rand.NormFloat64()
		}
		mean := l.rate * math.Exp(state-deviation*deviation/2) * step.Seconds()
		for range poisson(mean * (1 - crowds)) {
			go l.ask(ctx)
		}
		if rand.Float64() < mean*crowds/crowd {
			for range crowd/2 + rand.IntN(crowd+1) {
				go l.ask(ctx)
			}
		}
	}
}

func poisson(mean float64) int {
	n, p := 0, rand.Float64()
	for limit := math.Exp(-mean); p > limit; n++ {
		p *= rand.Float64()
	}
	return n
}

// ask is one client's request with its further tries. Who finds no room goes away.
func (l *load) ask(ctx context.Context) {
	wait := firstWait
	for range tries {
		select {
		case l.room <- struct{}{}:
		default:
			return
		}
		good := l.try(ctx)
		<-l.room
		if good {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait *= 2
	}
}

func (l *load) try(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return true
	}
	answer, err := l.client.Do(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode < http.StatusInternalServerError
}
