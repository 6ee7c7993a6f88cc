package rest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// IdempotencyStore remembers the answers to changes, so that a client may
// repeat a request to which it got no answer. A key belongs to an account.
type IdempotencyStore interface {
	// Begin claims a key for a request with a hash: a nil answer means that the
	// caller is the first and MUST call Finish, Abandon or Lose. Otherwise it
	// is what the store has under the key, claimed or finished, with the hash
	// of the request that it was for. The request is served under the context
	// that is returned, by which the store knows what was changed under the
	// claim. Claims of a process that died MUST become free again when nothing
	// was changed under them.
	Begin(ctx context.Context, account towpath.AccountName, key string, hash towpath.Digest) (context.Context, *Stored, error)
	// Finish stores the answer to the request that claimed the key.
	Finish(ctx context.Context, account towpath.AccountName, key string, status int, body []byte) error
	// Abandon frees a claimed key: the request changed nothing.
	Abandon(ctx context.Context, account towpath.AccountName, key string) error
	// Lose frees a claimed key unless a change was made under it, which is then
	// kept as one whose answer is lost.
	Lose(ctx context.Context, account towpath.AccountName, key string) error
}

// longestChange bounds the time of a request with an idempotency key.
const longestChange = 4 * time.Minute

// Stored is what is known of an idempotency key.
type Stored struct {
	Hash   towpath.Digest
	Status int // HTTP status of the answer; 0 while the request is in flight
	Body   []byte
	// Lost says that the change was made and that nobody is left who could
	// answer: the server died, or the database was lost while it committed.
	Lost    bool
	Subject string // ID of what was changed, when it is known
}

// statusSecretGone marks a stored answer that held a secret.
const statusSecretGone = -1

var idempotencyPattern = regexp.MustCompile(`^[\x21-\x7e]{1,128}$`)

// once makes a change repeatable: it runs the handler for the first request
// with a key and answers the others from the store. The handler is not
// cancelled when the client goes away: work that was accepted is finished.
func (r *router) once(rt route, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		key := req.Header.Get(api.HeaderIdempotencyKey)
		if !idempotencyPattern.MatchString(key) {
			p := newProblem(towpath.KindInvalid, requestID(req.Context()), "a change needs the header Idempotency-Key")
			p.Status = http.StatusBadRequest
			p.Hint = "send a new random value with each change, and the same value when you repeat it"
			r.fail(w, req, p)
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			r.fail(w, req, readError(err))
			return
		}
		account := Actor(req.Context()).Account
		hash := towpath.HashOf(req.Method, req.URL.RequestURI(), string(body))
		ctx, stored, err := r.deps.Idempotency.Begin(req.Context(), account, key, hash)
		if err != nil {
			r.fail(w, req, err)
			return
		}
		if stored != nil {
			r.replay(w, req, stored, hash)
			return
		}
		c := claim{r, account, key, rt.secret, context.WithoutCancel(ctx)}
		c.serve(w, req, body, h)
	}
}

// replay answers a repetition.
func (r *router) replay(w http.ResponseWriter, req *http.Request, s *Stored, hash towpath.Digest) {
	id := requestID(req.Context())
	refuse := func(status int, kind towpath.Kind, why, detail, hint string) {
		p := newProblem(kind, id, detail)
		p.Status, p.Hint, p.Fields = status, hint, map[string]string{api.FieldIdempotency: why}
		r.fail(w, req, p)
	}
	switch {
	case s.Hash != hash:
		refuse(http.StatusUnprocessableEntity, towpath.KindConflict, api.OtherRequest,
			"the idempotency key was used for another request", "use a new key for a new request")
	case s.Lost:
		p := newProblem(towpath.KindConflict, id, "the change was made, and the server stopped before it could answer")
		p.Hint = "look at what is there now; don't make the change again"
		p.Fields = map[string]string{api.FieldIdempotency: api.AnswerLost, api.FieldSubject: s.Subject}
		r.fail(w, req, p)
	case s.Status == 0:
		refuse(http.StatusConflict, towpath.KindLocked, api.InFlight,
			"the first request with this idempotency key has not been answered yet", "repeat it in a moment, with the same key")
	case s.Status == statusSecretGone:
		refuse(http.StatusConflict, towpath.KindConflict, api.SecretGone,
			"the request was done, and its answer held a secret, which is not kept", "revoke what was made and make another with a new key")
	default:
		w.Header().Set(api.HeaderReplayed, "true")
		write(w, s.Status, s.Body)
	}
}

func write(w http.ResponseWriter, status int, body []byte) {
	if len(body) > 0 {
		contentType := "application/json"
		if status >= http.StatusBadRequest {
			contentType = api.ProblemType
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// claim is a key that this request has to finish or abandon.
type claim struct {
	router  *router
	account towpath.AccountName
	key     string
	secret  bool
	ctx     context.Context // outlives the client's interest
}

func (c claim) serve(w http.ResponseWriter, req *http.Request, body []byte, h http.HandlerFunc) {
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	ended := false
	defer func() {
		if !ended { // a panic
			c.lose()
		}
	}()
	deadline, _ := req.Context().Deadline()
	ctx, cancel := context.WithDeadline(c.ctx, deadline)
	defer cancel()
	req = req.WithContext(ctx)
	req.Body = io.NopCloser(bytes.NewReader(body))
	h(answer, req)
	ended = true
	failpoint.Hit("api.before-answer")
	c.end(answer)
	for k, v := range answer.header {
		w.Header()[k] = v
	}
	write(w, answer.status, answer.body.Bytes())
}

// end stores an answer that a repetition would get again. A refusal that may
// be another tomorrow frees the key, and so does an error, unless the change
// was made all the same.
func (c claim) end(a *recorder) {
	switch {
	case a.status >= http.StatusInternalServerError:
		c.lose()
		return
	case !repeatable(a.status):
		c.abandon()
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	status, body := a.status, a.body.Bytes()
	if c.secret && status < http.StatusBadRequest {
		status, body = statusSecretGone, nil
	}
	if err := c.router.deps.Idempotency.Finish(ctx, c.account, c.key, status, body); err != nil {
		c.router.cfg.Log.WarnContext(ctx, "an answer could not be stored under its idempotency key", "request", requestID(ctx), "error", err)
	}
}

func (c claim) abandon() { c.free(c.router.deps.Idempotency.Abandon) }

func (c claim) lose() { c.free(c.router.deps.Idempotency.Lose) }

func (c claim) free(how func(context.Context, towpath.AccountName, string) error) {
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	if err := how(ctx, c.account, c.key); err != nil {
		c.router.cfg.Log.WarnContext(ctx, "an idempotency key could not be freed", "request", requestID(ctx), "error", err)
	}
}

func repeatable(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusLocked, http.StatusTooManyRequests:
		return false
	}
	return status < http.StatusInternalServerError
}

// recorder holds an answer back until its key has been dealt with.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
