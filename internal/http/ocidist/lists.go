package ocidist

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

func (h *Handler) tags(w http.ResponseWriter, r *request) error {
	n, last, err := pageOf(r)
	if err != nil {
		return err
	}
	page, err := h.registry.Tags(r.Context(), r.actor, r.name, n, last)
	if err != nil {
		return err
	}
	linkNames(w, r, n, page)
	return writeJSON(w, r, "application/json", struct {
		Name towpath.RepositoryName `json:"name"`
		Tags []string               `json:"tags"`
	}{r.name, orEmpty(page.Names)})
}

func (h *Handler) catalog(w http.ResponseWriter, r *request) error {
	n, last, err := pageOf(r)
	if err != nil {
		return err
	}
	page, err := h.registry.Catalog(r.Context(), r.actor, n, last)
	if err != nil {
		return err
	}
	linkNames(w, r, n, page)
	return writeJSON(w, r, "application/json", struct {
		Repositories []string `json:"repositories"`
	}{orEmpty(page.Names)})
}

// pageOf is how many names are asked for, and after which.
func pageOf(r *request) (n int, last string, err error) {
	q := r.URL.Query()
	n = registry.MaxPage
	if text := q.Get("n"); text != "" {
		if n, err = strconv.Atoi(text); err != nil || n < 0 {
			return 0, "", towpath.E(towpath.KindInvalid, "ocidist.list", "n is not a number of names").WithHint("n=100, for example")
		}
	}
	return n, q.Get("last"), nil
}

// linkNames says where a list goes on.
func linkNames(w http.ResponseWriter, r *request, n int, page registry.Names) {
	if page.More {
		link(w, r, url.Values{"n": {strconv.Itoa(n)}, "last": {page.Names[len(page.Names)-1]}})
	}
}

func link(w http.ResponseWriter, r *request, q url.Values) {
	next := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	w.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
}

func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

const mediaIndex = "application/vnd.oci.image.index.v1+json"

// index is an OCI image index of descriptors.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       towpath.Digest    `json:"digest"`
	Size         int64             `json:"size"` // bytes
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

func (h *Handler) referrers(w http.ResponseWriter, r *request) error {
	q := r.URL.Query()
	artifactType := q.Get("artifactType")
	all, more, err := h.registry.Referrers(r.Context(), r.actor, r.name, towpath.Digest(r.ref), artifactType, towpath.Digest(q.Get("last")))
	if err != nil {
		return err
	}
	out := index{SchemaVersion: 2, MediaType: mediaIndex, Manifests: make([]descriptor, 0, len(all))}
	for _, a := range all {
		out.Manifests = append(out.Manifests, descriptor{a.MediaType, a.Digest, a.Size, a.ArtifactType, a.Annotations})
	}
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if more {
		next := url.Values{"last": {string(all[len(all)-1].Digest)}}
		if artifactType != "" {
			next.Set("artifactType", artifactType)
		}
		link(w, r, next)
	}
	return writeJSON(w, r, mediaIndex, out)
}
