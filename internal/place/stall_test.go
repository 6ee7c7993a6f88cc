package place_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/place"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// A registry that accepts and never answers, or whose bytes trickle for ever,
// holds nobody for ever: neither the loop that brings layers back nor a request
// that reads one, nor who waits behind them.
func TestKeeper_OfAPlaceThatStalls(t *testing.T) {
	const bound = 300 * time.Millisecond
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		stall   time.Duration
		longest time.Duration
		want    string
	}{
		{"accepts and never answers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, bound / 6, 0, "it sent nothing for 50ms"},
		{"accepts, never answers, and is waited for", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, time.Hour, bound, "did not come from there within 300ms"},
		{"sends a byte now and then", trickle, time.Hour, bound, "did not come from there within 300ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.answer)
			t.Cleanup(srv.Close)
			y := newYard(t, dbtest.SQLite(t), t.TempDir(), fresh)
			y.found()
			rule := ruleOf(shop)
			rule.To = strings.TrimPrefix(srv.URL, "http://") + "/shop"
			y.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertReplicationRule(ctx, rule) })
			if err := y.put(y.servers[0], 0); err != nil {
				t.Fatal(err)
			}
			if err := y.link(y.servers[0], shop, 0); err != nil {
				t.Fatal(err)
			}
			if err := y.copied(shop, 0); err != nil {
				t.Fatal(err)
			}
			if err := y.local.Delete(t.Context(), digestOf(0)); err != nil {
				t.Fatal(err)
			}
			k := place.NewKeeper(place.New(place.Config{
				Now: y.now, Stall: c.stall, Longest: c.longest, Backoff: reconcile.Backoff{Base: time.Microsecond},
				Connect: func(r towpath.ReplicationRule) (place.Registry, error) {
					return replicate.NewRemote(replicate.RemoteConfig{Repository: r.To, PlainHTTP: true})
				},
			}, store.For[place.Tx](y.records), y.local), y.using, y.latch)
			rule.Place.Leaving = y.now()
			y.update(func(ctx context.Context, tx *store.Tx) error { return tx.SaveReplicationRule(ctx, rule) })
			ended := make(chan error)
			go func() { ended <- k.BringBack(t.Context(), rule) }()
			for range 3 {
				go func() { ended <- y.read(k, 0) }()
			}
			for range 4 {
				select {
				case err := <-ended:
					if kind(err) != towpath.KindUnavailable || !says(err, c.want) {
						t.Errorf("got %v", err)
					}
				case <-time.After(time.Minute):
					t.Fatal("it is waited for")
				}
			}
			var now towpath.ReplicationRule
			y.update(func(ctx context.Context, tx *store.Tx) (err error) {
				now, err = tx.ReplicationRule(ctx, shop, "home")
				return err
			})
			if now.Place == nil || !strings.Contains(now.Place.Error, c.want) {
				t.Errorf("the rule says %+v", now.Place)
			}
		})
	}
}

// trickle answers with a layer that does not end while anybody reads it.
func trickle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", strconv.FormatInt(size(), 10))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			_, _ = w.Write([]byte("t"))
			_ = http.NewResponseController(w).Flush()
		}
	}
}
