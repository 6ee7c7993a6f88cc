package ocidist

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

func (h *Handler) getManifest(w http.ResponseWriter, r *request) error {
	a, err := h.registry.Manifest(r.Context(), r.actor, r.name, r.ref)
	if err != nil {
		return err
	}
	describe(w, a.Digest, a.MediaType)
	if unchanged(r, a.Digest) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.FormatInt(a.Size, 10))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	body, err := h.registry.Content(r.Context(), a)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the client is gone
	return nil
}

// describe sets the headers that every answer with content has.
func describe(w http.ResponseWriter, d towpath.Digest, contentType string) {
	w.Header().Set("Docker-Content-Digest", string(d))
	w.Header().Set("ETag", `"`+string(d)+`"`)
	w.Header().Set("Content-Type", contentType)
}

// unchanged reports whether the client says that it has the content.
func unchanged(r *request, d towpath.Digest) bool {
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == `"`+string(d)+`"` || tag == "*" {
			return true
		}
	}
	return false
}

func (h *Handler) putManifest(w http.ResponseWriter, r *request) error {
	limit := int64(h.registry.MaxManifest())
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return towpath.E(towpath.KindInvalid, "ocidist.read", "the manifest ended early or came too slowly").
			WithHint("send it again").WithCause(err)
	}
	if int64(len(body)) > limit {
		return tooLarge(limit)
	}
	more := r.URL.Query()["tag"]
	p, err := h.registry.Push(r.Context(), r.actor, registry.PushRequest{
		Repository: r.name, Reference: r.ref, Tags: more, ContentType: r.Header.Get("Content-Type"), Manifest: body,
	})
	if err != nil {
		return err
	}
	if p.Subject != "" {
		w.Header().Set("OCI-Subject", string(p.Subject))
	}
	if len(more) > 0 {
		w.Header().Set("OCI-Tag", strings.Join(p.Tags, ", "))
	}
	w.Header().Set("Docker-Content-Digest", string(p.Digest))
	w.Header().Set("Location", "/v2/"+string(r.name)+"/manifests/"+string(p.Digest))
	return empty(w, http.StatusCreated)
}

func tooLarge(limit int64) error {
	e := towpath.E(towpath.KindExhausted, "ocidist.read", "the manifest has more than %d bytes", limit).
		WithHint("put what is large into blobs")
	e.Fields = map[string]string{"code": string(registry.TooLarge)}
	return e
}

func (h *Handler) deleteManifest(w http.ResponseWriter, r *request) error {
	if err := h.registry.Delete(r.Context(), r.actor, r.name, r.ref); err != nil {
		return err
	}
	return empty(w, http.StatusAccepted)
}

// empty answers without a body.
func empty(w http.ResponseWriter, status int) error {
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", "0")
	}
	w.WriteHeader(status)
	return nil
}
