package ocidist

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// small is up to how many bytes a blob is read and checked before anything of
// it is sent; of larger ones the last bytes are held back until the whole was
// checked.
const small = 1 << 20

func (h *Handler) getBlob(w http.ResponseWriter, r *request) error {
	d := towpath.Digest(r.ref)
	size, err := h.registry.Blob(r.Context(), r.actor, r.name, d)
	if err != nil {
		return err
	}
	describe(w, d, "application/octet-stream")
	w.Header().Set("Accept-Ranges", "bytes")
	if unchanged(r, d) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part, status := partOf(r, size, d)
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		writeError(w, r, status, "SIZE_INVALID", "the blob has "+strconv.FormatInt(size, 10)+" bytes, and none of those asked for", "")
		return nil
	}
	if r.Method == http.MethodHead {
		announce(w, part, status, size)
		return nil
	}
	content, err := h.registry.OpenBlob(r.Context(), d)
	if err != nil {
		return err
	}
	defer content.Close()
	if size > small {
		return h.stream(w, r, content, part, status, size)
	}
	buf := h.buffer(size)
	whole, err := readWhole(content, (*buf)[:size], d)
	if err != nil {
		return err
	}
	announce(w, part, status, size)
	if _, err := w.Write(whole[part.from : part.from+part.length]); err == nil {
		// When the client is gone, HTTP/2 may be sending from it still: then nobody
		// else's bytes must get into it.
		h.small.Put(buf)
	}
	return nil
}

// buffer has room for a small blob. Buffers are kept: reading into a new one
// each time costs more than checking what was read.
func (h *Handler) buffer(size int64) *[]byte {
	if buf, ok := h.small.Get().(*[]byte); ok && int64(len(*buf)) >= size {
		return buf
	}
	buf := make([]byte, max(size, 4<<10))
	return &buf
}

// readWhole fills buf with a blob that must have just as many bytes. At its end
// its digest was checked.
func readWhole(content io.Reader, buf []byte, d towpath.Digest) ([]byte, error) {
	_, err := io.ReadFull(content, buf)
	more := 0
	if err == nil {
		more, err = io.ReadFull(content, make([]byte, 1))
		if more == 0 && err == io.EOF {
			return buf, nil
		}
	}
	if more > 0 || err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, towpath.E(towpath.KindInternal, "ocidist.blob", "the blob does not have the %d bytes that are recorded", len(buf)).On(string(d))
	}
	return nil, err
}

// part is which bytes are answered.
type part struct{ from, length int64 }

func announce(w http.ResponseWriter, p part, status int, size int64) {
	w.Header().Set("Content-Length", strconv.FormatInt(p.length, 10))
	if status == http.StatusPartialContent {
		w.Header().Set("Content-Range", "bytes "+strconv.FormatInt(p.from, 10)+"-"+
			strconv.FormatInt(p.from+p.length-1, 10)+"/"+strconv.FormatInt(size, 10))
	}
	w.WriteHeader(status)
}

// held is how many bytes are held back until the whole blob was checked.
const held = 32 << 10

// stream sends a part of a large blob. Its digest is that of the whole: so the
// whole is read, whatever part is asked for, and the last bytes are sent only
// when it was found to be sound. What was sent before can't be taken back: then
// the connection is cut.
func (h *Handler) stream(w http.ResponseWriter, r *request, content io.Reader, p part, status int, size int64) error {
	back := min(held, p.length)
	last := bytes.NewBuffer(make([]byte, 0, back))
	if _, err := io.CopyN(io.Discard, content, p.from); err != nil {
		return err
	}
	begun := p.length > back
	var err error
	if begun {
		announce(w, p, status, size)
		_, err = io.CopyN(w, content, p.length-back)
	}
	if err == nil {
		_, err = io.CopyN(last, content, back)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, content)
	}
	if err != nil && !begun {
		return err
	}
	if err == nil {
		if !begun {
			announce(w, p, status, size)
		}
		_, err = w.Write(last.Bytes())
	}
	if err != nil {
		if r.Context().Err() == nil {
			h.cfg.Log.ErrorContext(r.Context(), "a blob was not sent to its end",
				slog.String("request", h.cfg.RequestID(r.Context())), slog.String("digest", r.ref), slog.Any("error", err))
		}
		// The client must not take what it has for the whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

var errRange = errors.New("no such range")

// partOf is which bytes a request asks for, and the status to answer with. More
// than one range is answered with the whole, as RFC 9110 allows.
func partOf(r *request, size int64, d towpath.Digest) (part, int) {
	whole := part{0, size}
	header := r.Header.Get("Range")
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	if cond := r.Header.Get("If-Range"); !isBytes || strings.Contains(spec, ",") || cond != "" && cond != `"`+string(d)+`"` {
		return whole, http.StatusOK
	}
	p, err := parseRange(strings.TrimSpace(spec), size)
	if err != nil {
		return whole, http.StatusRequestedRangeNotSatisfiable
	}
	return p, http.StatusPartialContent
}

// parseRange reads first-last, first- or -count.
func parseRange(spec string, size int64) (part, error) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return part{}, errRange
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 || size == 0 {
			return part{}, errRange
		}
		n = min(n, size)
		return part{size - n, n}, nil
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 || from >= size {
		return part{}, errRange
	}
	to := size - 1
	if last != "" {
		if to, err = strconv.ParseInt(last, 10, 64); err != nil || to < from {
			return part{}, errRange
		}
		to = min(to, size-1)
	}
	return part{from, to - from + 1}, nil
}

func (h *Handler) deleteBlob(w http.ResponseWriter, r *request) error {
	if err := h.registry.DeleteBlob(r.Context(), r.actor, r.name, towpath.Digest(r.ref)); err != nil {
		return err
	}
	return empty(w, http.StatusAccepted)
}
