package ocidist

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

// row is what HTTP makes of a code: its status, and its name in the
// specification where that has no such code.
type row struct {
	status int
	name   registry.Code
}

// codes has a row for every code of the use case.
func codes() map[registry.Code]row {
	return map[registry.Code]row{
		registry.BlobUnknown:         {status: http.StatusNotFound},
		registry.BlobUploadInvalid:   {status: http.StatusBadRequest},
		registry.BlobUploadUnknown:   {status: http.StatusNotFound},
		registry.DigestInvalid:       {status: http.StatusBadRequest},
		registry.ManifestBlobUnknown: {status: http.StatusNotFound},
		registry.ManifestInvalid:     {status: http.StatusBadRequest},
		registry.ManifestUnknown:     {status: http.StatusNotFound},
		registry.NameInvalid:         {status: http.StatusBadRequest},
		registry.NameUnknown:         {status: http.StatusNotFound},
		registry.SizeInvalid:         {status: http.StatusBadRequest},
		registry.TooLarge:            {http.StatusRequestEntityTooLarge, registry.SizeInvalid},
		registry.OutOfOrder:          {http.StatusRequestedRangeNotSatisfiable, registry.BlobUploadInvalid},
		registry.Denied:              {status: http.StatusConflict},
		registry.Unsupported:         {status: http.StatusMethodNotAllowed},
		registry.TooManyRequests:     {status: http.StatusTooManyRequests},
		registry.Harmed:              {status: http.StatusInternalServerError},
	}
}

// kinds has a row for every kind, for errors that have no code.
func kinds() map[towpath.Kind]row {
	return map[towpath.Kind]row{
		towpath.KindInvalid:         {http.StatusBadRequest, registry.Unsupported},
		towpath.KindUnauthenticated: {http.StatusUnauthorized, "UNAUTHORIZED"},
		towpath.KindForbidden:       {http.StatusForbidden, registry.Denied},
		towpath.KindNotFound:        {http.StatusNotFound, registry.NameUnknown},
		towpath.KindConflict:        {http.StatusConflict, registry.Denied},
		towpath.KindLocked:          {http.StatusConflict, registry.Denied},
		towpath.KindDenied:          {http.StatusConflict, registry.Denied},
		towpath.KindExhausted:       {http.StatusInsufficientStorage, "UNAVAILABLE"}, // limits have codes: it is the disk
		towpath.KindUnavailable:     {http.StatusServiceUnavailable, "UNAVAILABLE"},
		towpath.KindInternal:        {http.StatusInternalServerError, "UNKNOWN"},
	}
}

// rowOf is what HTTP makes of an error.
func rowOf(err error) row {
	if code := registry.CodeOf(err); code != "" {
		if row, ok := codes()[code]; ok {
			if row.name == "" {
				row.name = code
			}
			return row
		}
	}
	var known *towpath.Error
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &known) {
		return kinds()[towpath.KindUnavailable]
	}
	return kinds()[towpath.KindOf(err)]
}

// fail answers with an error, and logs those that are not the client's.
func (h *Handler) fail(w http.ResponseWriter, r *request, err error) {
	row := rowOf(err)
	if row.status >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.cfg.Log.ErrorContext(r.Context(), "a request to the registry failed",
			slog.String("request", h.cfg.RequestID(r.Context())), slog.Any("error", err))
	}
	message, hint := towpath.PublicMessage(err)
	writeError(w, r, row.status, row.name, message, hint)
}

type errorBody struct {
	Errors []errorItem `json:"errors"`
}

type errorItem struct {
	Code    registry.Code `json:"code"`
	Message string        `json:"message"`
}

func writeError(w http.ResponseWriter, r *request, status int, code registry.Code, message, hint string) {
	item := errorItem{Code: code, Message: message}
	if hint != "" {
		item.Message += ": " + hint // clients show the message only, or everything
	}
	body, err := json.Marshal(errorBody{Errors: []errorItem{item}})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	for _, name := range []string{"Docker-Content-Digest", "ETag", "Accept-Ranges"} {
		w.Header().Del(name) // they were of the content
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// writeJSON answers 200 with a document.
func writeJSON(w http.ResponseWriter, r *request, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return towpath.E(towpath.KindInternal, "ocidist.write", "an answer can't be encoded").WithCause(err)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
	return nil
}
