package rest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

const (
	fromAlertmanager = `{"version":"4","groupKey":"{}:{alertname=\"Errors\"}","truncatedAlerts":0,"status":"firing","receiver":"towpath",
		"groupLabels":{"alertname":"Errors"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://alertmanager:9093","alerts":[
		{"status":"firing","labels":{"alertname":"Errors","project":"shop","environment":"prod"},"annotations":{"summary":"5 % fail"},
		"startsAt":"2026-11-21T12:00:00.5Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus:9090/graph","fingerprint":"AB12cd34ef56ab78"}]}`
	fromGrafana = `{"receiver":"towpath","status":"resolved","orgId":1,"version":"1","groupKey":"g","title":"[RESOLVED]","state":"ok","message":"m",
		"alerts":[{"status":"resolved","labels":{"alertname":"Errors"},"annotations":{},"startsAt":"2026-11-21T12:00:00+01:00",
		"values":{"B":22.5,"C":null},"valueString":"","silenceURL":"","dashboardURL":"","panelURL":"","imageURL":""}]}`
)

func TestReadAlerts(t *testing.T) {
	labels := map[string]string{"alertname": "Errors", "project": "shop", "environment": "prod"}
	for _, tt := range []struct {
		name, body string
		want       []towpath.Alert
	}{
		{"of Alertmanager", fromAlertmanager, []towpath.Alert{{
			Fingerprint: "ab12cd34ef56ab78", Firing: true, StartsAt: time.Date(2026, 11, 21, 12, 0, 0, 5e8, time.UTC), Labels: labels, Summary: "5 % fail",
		}}},
		{"of Grafana", fromGrafana, []towpath.Alert{{
			Fingerprint: towpath.LabelsHash(map[string]string{"alertname": "Errors"}), StartsAt: time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC),
			Labels: map[string]string{"alertname": "Errors"},
		}}},
		{"none", `{"version":"4","alerts":[]}`, []towpath.Alert{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rest.ReadAlerts([]byte(tt.body))
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(time.Time.Equal)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", ``, "no JSON"},
		{"cut off", fromAlertmanager[:200], "no JSON from byte"},
		{"something else", `[]`, "this is no notification"},
		{"no version", `{"alerts":[]}`, `version "" of notifications is not known`},
		{"another version", `{"version":"5","alerts":[]}`, `version "5"`},
		{"no alerts", `{"version":"4"}`, "no list of alerts"},
		{"a number for a label", `{"version":"4","alerts":[{"labels":{"a":1}}]}`, "can't be a number"},
		{"no time", `{"version":"4","alerts":[{"startsAt":"yesterday: s3cret"}]}`, "a time is not written as"},
		{"too many", `{"version":"4","alerts":[` + strings.Repeat("{},", 10_000) + `{}]}`, "10001 alerts at once are too many"},
	} {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			_, err := rest.ReadAlerts([]byte(tt.body))
			m, hint := towpath.PublicMessage(err)
			if towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(m, tt.want) || hint == "" || strings.Contains(m, "s3cret") {
				t.Errorf("got %v, hint %q", err, hint)
			}
		})
	}
}

// FuzzReadAlerts: whatever is sent, every alert that comes out can be told from
// others and stored.
func FuzzReadAlerts(f *testing.F) {
	f.Add([]byte(fromAlertmanager))
	f.Add([]byte(fromGrafana))
	f.Add([]byte(`{"version":"4","alerts":[{"fingerprint":"\u0000","labels":{"\u0000":"\ud800"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		alerts, err := rest.ReadAlerts(b)
		if err != nil {
			if towpath.KindOf(err) != towpath.KindInvalid {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, a := range alerts {
			if a.Fingerprint == "" || len(a.Fingerprint) > 64 || strings.Trim(a.Fingerprint, "0123456789abcdef") != "" {
				t.Errorf("fingerprint %q", a.Fingerprint)
			}
		}
	})
}

func TestPostAlerts(t *testing.T) {
	s := apitest.New(t, apitest.NewWorld())
	post := func(body string) answer {
		return send(t, s, request{method: "POST", path: "/api/v1/alerts", body: body})
	}
	t.Run("says what came of each alert, without an idempotency key", func(t *testing.T) {
		got := post(fromAlertmanager)
		want := `{"acted":0,"repeated":0,"ignored":1,"alerts":[{"alert":"Errors","fingerprint":"ab12cd34ef56ab78","outcome":"ignored","reason":""}]}`
		if got.StatusCode != http.StatusOK || string(got.body) != want {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
	t.Run("refuses what is no notification", func(t *testing.T) {
		got := post(`{"version":"4"}`)
		if p := got.problem(t); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(p.Hint, "Alertmanager") {
			t.Errorf("%+v", p)
		}
	})
	t.Run("refuses what is too large", func(t *testing.T) {
		got := post(`{"version":"4","alerts":[],"x":"` + strings.Repeat("x", 4<<20) + `"}`)
		if p := got.problem(t); got.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(p.Detail, strconv.Itoa(4<<20)) {
			t.Errorf("%+v", p)
		}
	})
	if n := s.Called("deploys.Alerts"); n != 1 {
		t.Errorf("the use case was asked %d times", n)
	}
}
