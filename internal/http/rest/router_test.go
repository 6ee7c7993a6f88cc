package rest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// TestRouter_unsentBody: who announces a body and does not send it is answered, and
// hung up on, whatever was asked for: the server reads what nobody read of a body
// before it sends an answer.
func TestRouter_unsentBody(t *testing.T) {
	s := apitest.New(t, apitest.NewWorld(), func(c *rest.Config, d *rest.Deps) {
		c.Timeout, c.Heartbeat = 200*time.Millisecond, 500*time.Millisecond
		d.Mounts = []rest.Mount{
			{Pattern: "/open/", Policy: rest.Public, Handler: http.NotFoundHandler()},
			{Pattern: "/agent/", Policy: rest.Authenticated, Handler: http.NotFoundHandler()},
		}
	})
	for name, tt := range map[string]struct{ request, want string }{
		"a mount":                        {"PATCH /open/x", "404"},
		"a mount that needs a token":     {"POST /agent/x", "401"},
		"what is not there":              {"PATCH /nothing", "404"},
		"what is written in another way": {"PATCH /open//x", "307"},
		"a change":                       {"POST /api/v1/projects", "401"},
		"a watch, without a token":       {"GET /api/v1/projects/shop/events", "401"},
		"a watch":                        {"GET /api/v1/projects/shop/events HTTP/1.1\r\nAuthorization: Bearer " + apitest.Token, "200"},
	} {
		for kind, length := range map[string]string{"a length": "Content-Length: 1000", "parts": "Transfer-Encoding: chunked"} {
			t.Run(name+" with "+kind, func(t *testing.T) {
				conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
					t.Fatal(err)
				}
				line, header, ok := strings.Cut(tt.request, " HTTP/1.1\r\n")
				if ok {
					header += "\r\n"
				}
				fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\n%s%s\r\n\r\n", line, header, length)
				answer, err := io.ReadAll(conn)
				if !strings.HasPrefix(string(answer), "HTTP/1.1 "+tt.want) || err != nil {
					t.Errorf("got %q, %v", answer, err)
				}
			})
		}
	}
}
