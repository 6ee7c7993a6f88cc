package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// Bounds of what an alert manager sends at once.
const (
	maxAlertBytes = 4 << 20
	maxAlerts     = 10_000
)

func (a *API) alertRoutes() {
	schemas := a.huma.OpenAPI().Components.Schemas
	registerRaw(a, route{
		id: "post-alerts", method: http.MethodPost, path: "/alerts", tag: "deployments", policy: Authenticated,
		summary: "Tell of alerts, as Alertmanager and Grafana do; what was just deployed may go back for them. An alert acts once",
		exempt:  true, maxBody: maxAlertBytes,
	}, func(op *huma.Operation) {
		body := schemas.Schema(reflect.TypeFor[api.AlertGroup](), true, "AlertGroup")
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body}}}
		op.Responses["200"] = &huma.Response{Description: "What came of each alert", Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(reflect.TypeFor[deploy.AlertReport](), true, "AlertReport")},
		}}
	}, a.postAlerts)
}

func (a *API) postAlerts(w http.ResponseWriter, req *http.Request, actor towpath.Actor) error {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return unread(err)
	}
	alerts, err := readAlerts(body)
	if err != nil {
		return err
	}
	report, err := a.deps.Services.Deploys.Alerts(req.Context(), actor, alerts)
	if err != nil {
		return err
	}
	answer, err := json.Marshal(report)
	if err != nil {
		return towpath.E(towpath.KindInternal, "alerts.post", "the answer can't be encoded").WithCause(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
	return nil
}

// unread is why a body could not be read: it is too large, or its sender went
// away or took too long.
func unread(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return towpath.E(towpath.KindUnavailable, "alerts.read", "the alerts did not arrive whole").WithHint("send them again").WithCause(err)
}

var fingerprintPattern = regexp.MustCompile(`^[0-9a-fA-F]{1,64}$`)

// readAlerts reads version 4 of what Alertmanager sends to a webhook, and what
// Grafana makes of it, which calls itself version 1. Nothing that it does not
// know disturbs it: both add fields.
func readAlerts(body []byte) ([]towpath.Alert, error) {
	const op = "alerts.read"
	const hint = "send what Alertmanager's webhook_config does (version 4); docs/guides/alerts.md has an example"
	var group api.AlertGroup
	if err := json.Unmarshal(body, &group); err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "this is no notification of alerts: %s", explain(err)).WithHint(hint)
	}
	switch {
	case group.Version != "4" && group.Version != "1":
		return nil, towpath.E(towpath.KindInvalid, op, "version %q of notifications is not known", group.Version).WithHint(hint)
	case group.Alerts == nil:
		return nil, towpath.E(towpath.KindInvalid, op, "the notification has no list of alerts").WithHint(hint)
	case len(group.Alerts) > maxAlerts:
		return nil, towpath.E(towpath.KindInvalid, op, "%d alerts at once are too many: %d are the most", len(group.Alerts), maxAlerts).
			WithHint("set max_alerts of the receiver, or group the alerts by environment")
	}
	out := make([]towpath.Alert, len(group.Alerts))
	for i, x := range group.Alerts {
		out[i] = towpath.Alert{
			Fingerprint: strings.ToLower(x.Fingerprint), Firing: x.Status == "firing", StartsAt: x.StartsAt, Labels: x.Labels,
			Summary: x.Annotations["summary"],
		}
		if !fingerprintPattern.MatchString(x.Fingerprint) {
			out[i].Fingerprint = towpath.LabelsHash(x.Labels)
		}
	}
	return out, nil
}

// explain says where JSON is wrong, without a value that was sent.
func explain(err error) string {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s can't be a %s", wrong.Field, wrong.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is no JSON from byte %d on", syntax.Offset)
	}
	return "a time is not written as 2026-01-02T15:04:05Z"
}
