package client

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// maxProblem bounds what is read of a problem, in bytes.
const maxProblem = 256 << 10

// problemOf turns an answer that is no success into an error.
func problemOf(r *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxProblem)) // what could not be read leaves no problem to decode
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var p api.Problem
	if contentType != api.ProblemType || json.Unmarshal(body, &p) != nil || p.Kind == "" {
		return foreign(r, body)
	}
	e := towpath.E(p.Kind, "", "%s", p.Detail)
	e.Hint = p.Hint
	e.Fields = maps.Clone(p.Fields)
	return withRequest(e, p.RequestID)
}

// FieldCode is the key of [towpath.Error.Fields] under which is what a registry
// calls an error.
const FieldCode = "code"

// registrySays is what a registry calls an error and says of it, by the
// specification of OCI; empty when it is something else. Ours says what to do
// there, too.
func registrySays(body []byte) (code, message string) {
	var said struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &said) != nil || len(said.Errors) == 0 {
		return "", ""
	}
	return said.Errors[0].Code, said.Errors[0].Message
}

// foreign is an answer of our registry, or one that is not of a Towpath server,
// or has no body.
func foreign(r *http.Response, body []byte) error {
	code, says := registrySays(body)
	kind := towpath.KindInternal
	switch r.StatusCode {
	case http.StatusUnauthorized:
		kind = towpath.KindUnauthenticated
	case http.StatusForbidden:
		kind = towpath.KindForbidden
	case http.StatusNotFound:
		kind = towpath.KindNotFound
	case http.StatusConflict:
		kind = towpath.KindConflict
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		kind = towpath.KindInvalid
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		kind = towpath.KindUnavailable
	}
	e := towpath.E(kind, "", "the server answered %s", r.Status)
	if says != "" {
		e = towpath.E(kind, "", "%s", says)
		e.Fields = map[string]string{FieldCode: code}
	}
	if r.Header.Get(api.HeaderRequestID) == "" {
		e = e.WithHint("check that the URL is that of a towpath server")
	}
	return withRequest(e, r.Header.Get(api.HeaderRequestID))
}

func withRequest(e *towpath.Error, id string) *towpath.Error {
	if id == "" {
		return e
	}
	if e.Fields == nil {
		e.Fields = map[string]string{}
	}
	e.Fields[api.FieldRequestID] = id
	return e
}

// unreachable is the error of a request that got no answer. What net/http says
// names the URL, which has no secret in it, but may have names in its query:
// only its cause is kept.
func (c *Client) unreachable(err error) error {
	var known *towpath.Error
	if errors.As(err, &known) { // of opening or reading what is sent
		return known
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return towpath.E(towpath.KindUnavailable, "", "the server does not answer").On(c.base).
		WithHint("check that it runs (towpath dev, towpath server) and that the URL is right").WithCause(err)
}

func unreadable(r *http.Response, err error) error {
	e := towpath.E(towpath.KindUnavailable, "", "the server's answer ended early or is not JSON").WithCause(err)
	return withRequest(e, r.Header.Get(api.HeaderRequestID))
}
