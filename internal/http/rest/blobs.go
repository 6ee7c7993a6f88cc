package rest

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towpath/towpath/internal/towpath"
)

func (a *API) blobRoutes() {
	const path = "/projects/{project}/blobs/{digest}"
	registerRaw(a, route{
		id: "has-blob", method: http.MethodHead, path: path, tag: "releases", policy: Authenticated,
		summary: "Ask whether a blob is stored, and its size",
	}, describeBlob("200", "Content-Length is the blob's size"), a.hasBlob)
	registerRaw(a, route{
		id: "put-blob", method: http.MethodPut, path: path, tag: "releases", policy: Authenticated,
		summary: "Upload a blob; its digest makes that idempotent", exempt: true,
		maxBody: a.cfg.MaxBlob, timeout: a.cfg.TransferTimeout,
	}, func(op *huma.Operation) {
		describeBlob("201", "Stored")(op)
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
		}}
	}, a.putBlob)
}

func describeBlob(status, description string) func(*huma.Operation) {
	return func(op *huma.Operation) {
		op.Responses[status] = &huma.Response{Description: description}
		for _, name := range []string{"project", "digest"} {
			op.Parameters = append(op.Parameters, &huma.Param{
				Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
			})
		}
	}
}

func (a *API) hasBlob(w http.ResponseWriter, req *http.Request, actor towpath.Actor) error {
	digest, err := towpath.ParseDigest(req.PathValue("digest"))
	if err != nil {
		return err
	}
	size, err := a.deps.Services.Releases.HasBlob(req.Context(), actor, towpath.ProjectName(req.PathValue("project")), digest)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *API) putBlob(w http.ResponseWriter, req *http.Request, actor towpath.Actor) error {
	digest, err := towpath.ParseDigest(req.PathValue("digest"))
	if err != nil {
		return err
	}
	if req.ContentLength > a.cfg.MaxBlob {
		return &http.MaxBytesError{Limit: a.cfg.MaxBlob}
	}
	body := &remembering{r: req.Body}
	err = a.deps.Services.Releases.PutBlob(req.Context(), actor, towpath.ProjectName(req.PathValue("project")), digest, body)
	if err != nil {
		return body.blame(err)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// remembering keeps the error of the upload itself: the use case may wrap it as
// one of its store.
type remembering struct {
	r   io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func (r *remembering) blame(err error) error {
	if r.err != nil {
		return readError(r.err)
	}
	return err
}

// readError is what is wrong when a request's body can't be read.
func readError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return towpath.E(towpath.KindInvalid, "rest.read", "the request's body ended early or came too slowly").
		WithHint("send it again").WithCause(err)
}
