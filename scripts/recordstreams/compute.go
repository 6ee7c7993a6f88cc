package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Thumbnails need a processor and memory, of which the process has little: what
// takes too long, because the collector or another process is at work, and what
// finds too many others waiting, is answered with 503.
func newThumbnails(string) (http.Handler, error) {
	const workers, queue, deadline = 2, 7, 100 * time.Millisecond
	seats, room := make(chan struct{}, workers), make(chan struct{}, queue)
	cache := make([][]*int, 64) // what the collector has to look through
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
		default:
			answer(w, errors.New("too many are waiting"))
			return
		}
		select {
		case seats <- struct{}{}:
			defer func() { <-seats }()
		case <-ctx.Done():
			answer(w, ctx.Err())
			return
		}
		picture := draw()
		mu.Lock()
		cache[rand.IntN(len(cache))] = picture
		mu.Unlock()
		answer(w, ctx.Err())
	}), nil
}

// draw sorts what it allocates; some pictures are ten times as large.
func draw() []*int {
	n := 4_000
	if rand.IntN(30) == 0 {
		n *= 10
	}
	out := make([]*int, n)
	for i := range out {
		v := rand.Int()
		out[i] = &v
	}
	slices.SortFunc(out, func(a, b *int) int { return *a - *b })
	return out
}

// runDependency keeps the service behind the gateways running. It is killed now
// and then, and takes a while to come back.
func runDependency(ctx context.Context) (address string, err error) {
	life, kill := context.WithCancel(ctx)
	address, err = start(life, "dependency", "")
	go func() {
		defer func() { kill() }()
		for pause(ctx, 45*time.Second) {
			kill()
			if !pause(ctx, 400*time.Millisecond) {
				return
			}
			life, kill = context.WithCancel(ctx)
			_, _ = startAt(life, address, "dependency", "")
		}
	}()
	return address, err
}

// newDependency answers after a while that is now and then a long one.
func newDependency(string) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pause(r.Context(), 8*time.Millisecond)
		if rand.IntN(400) == 0 {
			pause(r.Context(), 300*time.Millisecond)
		}
		answer(w, nil)
	}), nil
}

// newGateway passes requests on over a few connections. After four failures in a
// row it stops trying for a while: a circuit breaker, each process with its own.
func newGateway(dependency string) (http.Handler, error) {
	const patience, limit, rest = 150 * time.Millisecond, 4, 700 * time.Millisecond
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxConnsPerHost: 12, MaxIdleConnsPerHost: 12}}
	var mu sync.Mutex
	failures, until := 0, time.Time{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		open := time.Now().Before(until)
		mu.Unlock()
		if open {
			answer(w, errors.New("the circuit is open"))
			return
		}
		err := get(r.Context(), client, "http://"+dependency)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			failures = 0
		} else if failures++; failures >= limit {
			failures, until = 0, time.Now().Add(rest/2+rand.N(rest))
		}
		answer(w, err)
	}), nil
}

func get(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
