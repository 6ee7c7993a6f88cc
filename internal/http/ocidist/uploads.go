package ocidist

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

// beginUpload begins an upload, unless the blob comes with the request or can
// be mounted.
func (h *Handler) beginUpload(w http.ResponseWriter, r *request) error {
	q := r.URL.Query()
	switch {
	case q.Get("mount") != "":
		d := towpath.Digest(q.Get("mount"))
		mounted, err := h.registry.Mount(r.Context(), r.actor, r.name, d, towpath.RepositoryName(q.Get("from")))
		if err != nil {
			return err
		}
		if mounted {
			return stored(w, r, d)
		}
	case q.Get("digest") != "":
		d := towpath.Digest(q.Get("digest"))
		if err := h.registry.PutBlob(r.Context(), r.actor, r.name, d, r.Body); err != nil {
			return err
		}
		return stored(w, r, d)
	}
	u, err := h.registry.Begin(r.Context(), r.actor, r.name)
	if err != nil {
		return err
	}
	return progress(w, u, http.StatusAccepted)
}

// stored answers that a blob is there.
func stored(w http.ResponseWriter, r *request, d towpath.Digest) error {
	w.Header().Set("Docker-Content-Digest", string(d))
	w.Header().Set("Location", "/v2/"+string(r.name)+"/blobs/"+string(d))
	return empty(w, http.StatusCreated)
}

// locate says how far an upload is and where it goes on.
func locate(w http.ResponseWriter, u registry.Upload) {
	w.Header().Set("Location", "/v2/"+string(u.Repository)+"/blobs/uploads/"+string(u.ID))
	w.Header().Set("Docker-Upload-UUID", string(u.ID))
	w.Header().Set("Range", "0-"+strconv.FormatInt(max(u.Size-1, 0), 10))
}

func progress(w http.ResponseWriter, u registry.Upload, status int) error {
	locate(w, u)
	return empty(w, status)
}

func (h *Handler) uploadStatus(w http.ResponseWriter, r *request) error {
	u, err := h.registry.Status(r.Context(), r.actor, r.name, registry.UploadID(r.ref))
	if err != nil {
		return err
	}
	return progress(w, u, http.StatusNoContent)
}

func (h *Handler) appendUpload(w http.ResponseWriter, r *request) error {
	span, err := spanOf(r)
	if err != nil {
		return err
	}
	u, err := h.registry.Append(r.Context(), r.actor, r.name, registry.UploadID(r.ref), span, r.Body)
	if err != nil {
		if u.ID != "" {
			locate(w, u)
		}
		return err
	}
	return progress(w, u, http.StatusAccepted)
}

func (h *Handler) finishUpload(w http.ResponseWriter, r *request) error {
	span, err := spanOf(r)
	if err != nil {
		return err
	}
	d := towpath.Digest(r.URL.Query().Get("digest"))
	if err := h.registry.Finish(r.Context(), r.actor, r.name, registry.UploadID(r.ref), d, span, r.Body); err != nil {
		if registry.CodeOf(err) == registry.OutOfOrder {
			if u, statusErr := h.registry.Status(r.Context(), r.actor, r.name, registry.UploadID(r.ref)); statusErr == nil {
				locate(w, u)
			}
		}
		return err
	}
	return stored(w, r, d)
}

func (h *Handler) cancelUpload(w http.ResponseWriter, r *request) error {
	if err := h.registry.Cancel(r.Context(), r.actor, r.name, registry.UploadID(r.ref)); err != nil {
		return err
	}
	return empty(w, http.StatusNoContent)
}

var contentRange = regexp.MustCompile(`^([0-9]{1,18})-([0-9]{1,18})$`)

// spanOf reads Content-Range in the form that the specification gives it.
func spanOf(r *request) (registry.Span, error) {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return registry.Span{}, nil
	}
	refuse := func(code registry.Code, format string, args ...any) (registry.Span, error) {
		e := towpath.E(towpath.KindInvalid, "ocidist.upload", format, args...).
			WithHint("Content-Range is the first and the last byte of the piece, both counted from 0: 0-1023")
		e.Fields = map[string]string{"code": string(code)}
		return registry.Span{}, e
	}
	m := contentRange.FindStringSubmatch(header)
	if m == nil {
		return refuse(registry.BlobUploadInvalid, "the Content-Range is not of the form first-last")
	}
	from, _ := strconv.ParseInt(m[1], 10, 64) // 18 digits fit
	to, _ := strconv.ParseInt(m[2], 10, 64)
	if to < from {
		return refuse(registry.BlobUploadInvalid, "the Content-Range ends before it begins")
	}
	if r.ContentLength >= 0 && r.ContentLength != to-from+1 {
		return refuse(registry.SizeInvalid, "the Content-Range is of %d bytes, and %d were sent", to-from+1, r.ContentLength)
	}
	return registry.Span{Given: true, From: from, To: to}, nil
}
