package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

// defaultEvents is the size of a page of the ledger.
const defaultEvents = 100

type eventFilter struct {
	Project     towpath.ProjectName     `query:"project" doc:"empty: all that you may see"`
	Environment towpath.EnvironmentName `query:"environment"`
	Subject     string                  `query:"subject" doc:"the ID of a noun"`
	Action      string                  `query:"action" doc:"such as promotion.requested"`
	After       int64                   `query:"after" minimum:"0" doc:"entries with a greater seq"`
	Before      int64                   `query:"before" minimum:"0" doc:"entries with a smaller seq; 0: all"`
	Limit       int                     `query:"limit" minimum:"0" maximum:"1000" doc:"0: the default of 100"`
	Newest      bool                    `query:"newest" doc:"newest first"`
}

func (a *API) auditRoutes() {
	svc := a.deps.Services.Audit
	register(a, route{
		id: "list-events", method: http.MethodGet, path: "/audit/events", tag: "audit", policy: Authenticated,
		summary: "List entries of the ledger",
	}, func(ctx context.Context, actor towpath.Actor, in *eventFilter) (api.Events, error) {
		return a.listEvents(ctx, actor, in)
	})
	type verify struct{ Body api.VerifyLedger }
	register(a, route{
		id: "verify-ledger", method: http.MethodPost, path: "/audit/verify", tag: "audit", policy: Authenticated,
		summary: "Verify the whole ledger", exempt: true, timeout: a.cfg.TransferTimeout,
	}, func(ctx context.Context, actor towpath.Actor, in *verify) (ledger.Report, error) {
		return svc.Verify(ctx, actor, in.Body.Trusted)
	})
	register(a, route{
		id: "get-checkpoint", method: http.MethodGet, path: "/audit/checkpoint", tag: "audit", policy: Authenticated,
		summary: "Get the newest signed checkpoint and the ledger's public key",
	}, func(ctx context.Context, actor towpath.Actor, _ *none) (api.Checkpoint, error) {
		checkpoint, key, err := svc.Checkpoint(ctx, actor)
		return api.Checkpoint{Checkpoint: checkpoint, PublicKey: key}, err
	})
	registerRaw(a, route{
		id: "export-ledger", method: http.MethodGet, path: "/audit/export", tag: "audit", policy: Authenticated,
		summary: "Export the ledger as JSON lines, to be verified elsewhere", timeout: a.cfg.TransferTimeout,
	}, func(op *huma.Operation) {
		op.Responses["200"] = &huma.Response{Description: "JSON lines", Content: map[string]*huma.MediaType{
			exportType: {Schema: &huma.Schema{Type: huma.TypeString}},
		}}
	}, a.exportLedger)
}

const exportType = "application/x-ndjson"

func (a *API) listEvents(ctx context.Context, actor towpath.Actor, in *eventFilter) (api.Events, error) {
	limit := in.Limit
	if limit == 0 {
		limit = defaultEvents
	}
	items, err := a.deps.Services.Audit.Events(ctx, actor, ledger.Filter{
		Project: in.Project, Environment: in.Environment, Subject: in.Subject, Action: in.Action,
		AfterSeq: in.After, BeforeSeq: in.Before, Limit: limit, Descending: in.Newest,
	})
	if err != nil {
		return api.Events{}, err
	}
	if items == nil {
		items = []ledger.Entry{}
	}
	out := api.Events{Items: items}
	if len(items) == limit {
		out.Next = items[len(items)-1].Seq
	}
	return out, nil
}

// exportLedger sends the headers with the first bytes, so that a refusal is
// still a problem. A fault later cuts the connection: half an export must not
// pass for a whole one.
func (a *API) exportLedger(w http.ResponseWriter, req *http.Request, actor towpath.Actor) error {
	w.Header().Set("Content-Type", exportType)
	err := a.deps.Services.Audit.Export(req.Context(), actor, "", w)
	if t, ok := w.(*tracked); err != nil && ok && t.status != 0 {
		_ = a.router.problem(req.Context(), err) // for the log: the answer has begun
		panic(http.ErrAbortHandler)
	}
	return err
}
