package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

func holdDev(key, reason string) request {
	return request{
		method: http.MethodPost, path: "/api/v1/projects/shop/environments/dev/hold",
		body: fmt.Sprintf(`{"reason":%q}`, reason), header: map[string]string{api.HeaderIdempotencyKey: key},
	}
}

func worldWithDev() *apitest.World {
	w := apitest.NewWorld()
	w.Status = []inventory.Status{{Project: "shop", Environment: "dev"}}
	return w
}

func TestIdempotency(t *testing.T) {
	t.Run("does a repeated change once and answers it alike", func(t *testing.T) {
		w := apitest.NewWorld()
		s := apitest.New(t, w)
		r := request{
			method: http.MethodPost, path: "/api/v1/accounts", body: `{"name":"bea"}`, header: map[string]string{api.HeaderIdempotencyKey: "k"},
		}
		first, second := send(t, s, r), send(t, s, r)
		if first.StatusCode != http.StatusCreated || second.StatusCode != first.StatusCode || string(second.body) != string(first.body) {
			t.Fatalf("%d %s, then %d %s", first.StatusCode, first.body, second.StatusCode, second.body)
		}
		if first.Header.Get(api.HeaderReplayed) != "" || second.Header.Get(api.HeaderReplayed) != "true" {
			t.Error("it does not say which answer was stored")
		}
		if n := w.Called("accounts.Create"); n != 1 {
			t.Errorf("it was made %d times", n)
		}
	})
	t.Run("repeats a refusal, too", func(t *testing.T) {
		s := apitest.New(t, apitest.NewWorld()) // has no environment
		first, second := send(t, s, holdDev("k", "x")), send(t, s, holdDev("k", "x"))
		if first.StatusCode != http.StatusNotFound || second.problem(t).Detail != first.problem(t).Detail || s.Called("promotions.Hold") != 1 {
			t.Errorf("%d, then %d after %d calls", first.StatusCode, second.StatusCode, s.Called("promotions.Hold"))
		}
	})
	t.Run("refuses a key that was used for another request", func(t *testing.T) {
		s := apitest.New(t, worldWithDev())
		send(t, s, holdDev("k", "one"))
		a := send(t, s, holdDev("k", "two"))
		p := a.problem(t)
		if a.StatusCode != http.StatusUnprocessableEntity || p.Kind != towpath.KindConflict || p.Fields[api.FieldIdempotency] != api.OtherRequest {
			t.Errorf("%d %+v", a.StatusCode, p)
		}
	})
	t.Run("keeps the keys of accounts apart", func(t *testing.T) {
		w := worldWithDev()
		w.Actors["bea"] = towpath.Actor{Account: "bea"}
		s := apitest.New(t, w)
		send(t, s, holdDev("k", "one"))
		r := holdDev("k", "two")
		r.header["Authorization"] = "Bearer bea"
		if a := send(t, s, r); a.StatusCode != http.StatusNoContent {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("frees the key of a change that could not be made", func(t *testing.T) {
		w := worldWithDev()
		var once sync.Once
		w.Fail = func(_ context.Context, m string) (err error) {
			if m == "promotions.Hold" {
				once.Do(func() { err = towpath.E(towpath.KindUnavailable, "test", "the database is away") })
			}
			return err
		}
		s := apitest.New(t, w)
		if a := send(t, s, holdDev("k", "x")); a.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("%d", a.StatusCode)
		}
		if a := send(t, s, holdDev("k", "x")); a.StatusCode != http.StatusNoContent {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("says what was changed when nobody could answer", func(t *testing.T) {
		w := worldWithDev()
		w.Fail = func(_ context.Context, m string) error {
			if m == "promotions.Hold" {
				return towpath.E(towpath.KindUnavailable, "test", "the connection was lost while committing")
			}
			return nil
		}
		s := apitest.New(t, w)
		s.Idempotency.Made = "dep_1"
		send(t, s, holdDev("k", "x"))
		a := send(t, s, holdDev("k", "x"))
		p := a.problem(t)
		if a.StatusCode != http.StatusConflict || p.Fields[api.FieldIdempotency] != api.AnswerLost || p.Fields[api.FieldSubject] != "dep_1" {
			t.Errorf("%d %+v", a.StatusCode, p)
		}
		if n := s.Called("promotions.Hold"); n != 1 {
			t.Errorf("it was made %d times", n)
		}
	})
	t.Run("says so when the store of keys is away, and reads go on", func(t *testing.T) {
		s := apitest.New(t, worldWithDev())
		s.Idempotency.Err = towpath.E(towpath.KindUnavailable, "test", "the database can't be written")
		if a := send(t, s, holdDev("k", "x")); a.StatusCode != http.StatusServiceUnavailable || s.Called("promotions.Hold") != 0 {
			t.Errorf("%d after %d calls", a.StatusCode, s.Called("promotions.Hold"))
		}
		if a := send(t, s, request{method: http.MethodGet, path: "/api/v1/projects/shop/status"}); a.StatusCode != http.StatusOK {
			t.Errorf("a read got %d", a.StatusCode)
		}
	})
	t.Run("never stores a secret", func(t *testing.T) {
		s := apitest.New(t, apitest.NewWorld())
		r := request{method: http.MethodPost, path: "/api/v1/tokens", body: `{"name":"ci"}`, header: map[string]string{api.HeaderIdempotencyKey: "k"}}
		if a := send(t, s, r); a.StatusCode != http.StatusCreated || !strings.Contains(string(a.body), apitest.Secret) {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		if all := strings.Join(s.Idempotency.Bodies(), ""); strings.Contains(all, apitest.Secret) {
			t.Errorf("stored: %s", all)
		}
		a := send(t, s, r)
		if p := a.problem(t); a.StatusCode != http.StatusConflict || p.Fields[api.FieldIdempotency] != api.SecretGone || s.Called("accounts.CreateToken") != 1 {
			t.Errorf("%d %+v", a.StatusCode, p)
		}
	})
}

func TestIdempotency_inFlight(t *testing.T) {
	w := worldWithDev()
	entered, release := make(chan struct{}), make(chan struct{})
	w.Fail = func(ctx context.Context, m string) error {
		if m == "promotions.Hold" {
			close(entered)
			<-release
			return ctx.Err() // the client's leaving must not have cancelled it
		}
		return nil
	}
	s := apitest.New(t, w)
	noticed := make(chan struct{}) // the server knows that the client left
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { close(noticed) })
		s.API.ServeHTTP(w, r)
	}))
	defer front.Close()
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r := holdDev("k", "x")
		req, err := http.NewRequestWithContext(ctx, r.method, front.URL+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+apitest.Token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(api.HeaderIdempotencyKey, "k")
		if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-entered
	t.Run("answers locked while the first request is being served", func(t *testing.T) {
		a := send(t, s, holdDev("k", "x"))
		if p := a.problem(t); a.StatusCode != http.StatusConflict || p.Kind != towpath.KindLocked || p.Fields[api.FieldIdempotency] != api.InFlight {
			t.Errorf("%d %+v", a.StatusCode, p)
		}
	})
	leave()
	<-gone
	<-noticed
	close(release)
	t.Run("finishes what was accepted although the client left", func(t *testing.T) {
		for {
			a := send(t, s, holdDev("k", "x"))
			if a.StatusCode == http.StatusConflict {
				continue // not stored yet
			}
			if a.StatusCode != http.StatusNoContent || a.Header.Get(api.HeaderReplayed) != "true" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			return
		}
	})
}
