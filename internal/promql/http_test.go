package promql_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/towpath"
)

// TestHTTP_Fails: whatever goes wrong between us and a source is an error that
// says what, and never an answer without data.
func TestHTTP_Fails(t *testing.T) {
	body := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		kind  towpath.Kind
		says  string
	}{
		"it is overloaded":           {body(503, "busy"), towpath.KindUnavailable, "answers 503"},
		"it does not know us":        {body(401, ""), towpath.KindUnavailable, "does not let us in"},
		"it sends us elsewhere":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, towpath.KindUnavailable, "answers 302"},
		"it is no Prometheus":        {body(200, "<html>welcome</html>"), towpath.KindUnavailable, "no answer of Prometheus"},
		"it answers half":            {body(200, `{"status":"success","data":{"resultType":"vector","result":[{"metr`), towpath.KindUnavailable, "no answer of Prometheus"},
		"it answers another type":    {body(200, `{"status":"success","data":{"resultType":"string","result":[1,"a"]}}`), towpath.KindUnavailable, "no answer of Prometheus"},
		"it answers no numbers":      {body(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"one"]}]}}`), towpath.KindUnavailable, "no answer of Prometheus"},
		"its query failed":           {body(422, `{"status":"error","errorType":"execution","error":"many-to-many matching\nnot allowed"}`), towpath.KindInvalid, "many-to-many matching not allowed"},
		"it ran out of time":         {body(503, `{"status":"error","errorType":"timeout","error":"query timed out"}`), towpath.KindUnavailable, "fails: query timed out"},
		"it does not end":            {func(_ http.ResponseWriter, r *http.Request) { _ = r.ParseForm(); <-r.Context().Done() }, towpath.KindUnavailable, "did not answer within 200ms"},
		"it answers without measure": {body(200, strings.Repeat(" ", 5000)), towpath.KindExhausted, "longer than 4096 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.serve)
			t.Cleanup(srv.Close)
			s := must(promql.NewHTTP(promql.HTTPConfig{URL: srv.URL, Limits: promql.Limits{Timeout: 200 * time.Millisecond, Bytes: 4096}}))(t)
			got, err := s.Query(t.Context(), "up", noon)
			m, _ := towpath.PublicMessage(err)
			if towpath.KindOf(err) != c.kind || !strings.Contains(m, c.says) || len(got) != 0 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	t.Run("it is not there", func(t *testing.T) {
		srv := httptest.NewServer(nil)
		srv.Close()
		s := must(promql.NewHTTP(promql.HTTPConfig{URL: srv.URL}))(t)
		if _, err := s.Query(t.Context(), "up", noon); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("got %v", err)
		}
	})
}

// TestHTTP_TokenFile: the token is read for every query, and shown to nobody else.
func TestHTTP_TokenFile(t *testing.T) {
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[]}}`))
	}))
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "token")
	s := must(promql.NewHTTP(promql.HTTPConfig{URL: srv.URL + "/prom/", TokenFile: file}))(t)
	_, err := s.Query(t.Context(), "up", noon)
	if towpath.KindOf(err) != towpath.KindUnavailable || got != "" {
		t.Errorf("without its token it asked %q, %v", got, err)
	}
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		must(s.Query(t.Context(), "up", noon))(t)
		if want := "POST /prom/api/v1/query Bearer " + token; got != want {
			t.Errorf("it asked %q, and %q is wanted", got, want)
		}
	}
}

// TestHTTP_Headers: who has to log in with a user name can, and tenants are named.
func TestHTTP_Headers(t *testing.T) {
	var got http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[]}}`))
	}))
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("shh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := must(promql.NewHTTP(promql.HTTPConfig{URL: srv.URL, TokenFile: file, Username: "12345", Headers: map[string]string{"X-Scope-OrgID": "shop"}}))(t)
	must(s.Query(t.Context(), "up", noon))(t)
	user, password, _ := (&http.Request{Header: got}).BasicAuth()
	if user != "12345" || password != "shh" || got.Get("X-Scope-OrgID") != "shop" {
		t.Errorf("it asked with %v", got)
	}
	for name, c := range map[string]promql.HTTPConfig{
		"a user without a password": {Username: "12345"},
		"a user that is two":        {Username: "a:b", TokenFile: file},
		"a login":                   {Headers: map[string]string{"authorization": "Bearer shh"}},
		"another type":              {Headers: map[string]string{"content-type": "text/plain"}},
		"another host":              {Headers: map[string]string{"Host": "elsewhere"}},
		"no name":                   {Headers: map[string]string{"": "a"}},
		"a name of two":             {Headers: map[string]string{"a b": "a"}},
		"two lines":                 {Headers: map[string]string{"a": "b\r\nc: d"}},
	} {
		c.URL = srv.URL
		if _, err := promql.NewHTTP(c); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("%s: %v", name, err)
		} else if m, hint := towpath.PublicMessage(err); strings.Contains(m+hint, "shh") {
			t.Errorf("%s is shown: %s", name, m)
		}
	}
}

func TestNewHTTP(t *testing.T) {
	for _, url := range []string{"", "prometheus", "ftp://a", "http://", "https://a:b@c", "http://a?b=c"} {
		if _, err := promql.NewHTTP(promql.HTTPConfig{URL: url}); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("%q: %v", url, err)
		} else if m, _ := towpath.PublicMessage(err); strings.Contains(m, ":b@") {
			t.Errorf("it shows the password: %s", m)
		}
	}
}
