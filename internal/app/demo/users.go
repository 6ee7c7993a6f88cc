package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// users ask for prod's api all the time, 200 times a second, or as often as this
// machine can.
type users struct {
	client *http.Client
	url    string

	mu     sync.Mutex
	asked  int
	failed int
}

// Workers of the users, and how often each asks.
const (
	userCount = 20
	userPause = 100 * time.Millisecond
)

func newUsers(address string) *users {
	return &users{
		url:    "http://" + address + "/",
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: userCount}},
	}
}

// run asks until the context ends.
func (u *users) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range userCount {
		wg.Go(func() {
			tick := time.NewTicker(userPause)
			defer tick.Stop()
			for {
				u.ask(ctx)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	u.client.CloseIdleConnections()
}

func (u *users) ask(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url, nil)
	if err != nil {
		return
	}
	good := false
	resp, err := u.client.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
		_ = resp.Body.Close()
		good = err == nil && resp.StatusCode == http.StatusOK
	}
	if ctx.Err() != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	if !good {
		u.failed++
	}
}

// since says how many requests were sent and failed since the last time that it
// was asked.
func (u *users) since() (asked, failed int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	asked, failed = u.asked, u.failed
	u.asked, u.failed = 0, 0
	return asked, failed
}

func lost(failed, asked int) string {
	if failed == 0 {
		return fmt.Sprintf("none of %d requests failed", asked)
	}
	return fmt.Sprintf("%d of %d requests failed", failed, asked)
}
