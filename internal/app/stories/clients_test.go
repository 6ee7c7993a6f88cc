package stories_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// someClients is how many clients a story has.
const someClients = 20

// client is somebody with a browser, and what it met.
type client struct {
	browser http.Client
	before  int   // answers of other versions, before it met the new one
	met     bool  // the new one
	wrong   error // the first answer that was no success, or of another version after that
}

// crowds are the clients of stories, by script.
var crowds = map[string]func() []*client{}

// clients has some clients that keep their cookies ask a component of an
// environment again and again, one after the other. Stopped, it fails when an
// answer was no success, when one of them that had met a version met another one
// after it, or unless all came to it: clients ENV COMPONENT VERSION, clients stop
func clients(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "stop" {
		before := 0
		for i, c := range crowds[ts.Name()]() {
			if ts.Check(c.wrong); !c.met {
				ts.Fatalf("client %d has never met the new version", i)
			}
			before += c.before
		}
		if before < someClients {
			ts.Fatalf("there were only %d answers of the old version", before)
		}
		return
	}
	url := "http://" + addressOf(ts, args[0], args[1]) + "/"
	ctx, cancel := context.WithCancel(context.Background())
	var all []*client
	for range someClients {
		jar, err := cookiejar.New(nil)
		ts.Check(err)
		all = append(all, &client{browser: http.Client{Jar: jar, Timeout: patience}})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			for _, c := range all {
				if c.wrong == nil {
					c.wrong = c.ask(url, args[2])
				}
			}
		}
	}()
	stop := sync.OnceFunc(func() { cancel(); <-ended })
	ts.Defer(stop)
	crowds[ts.Name()] = func() []*client { stop(); return all }
}

// ask sends one request, and says what is wrong with where it went.
func (c *client) ask(url, version string) error {
	resp, err := c.browser.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch got := resp.Header.Get("Shop-Version"); {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %s", url, resp.Status)
	case got == version:
		c.met = true
	case c.met:
		return fmt.Errorf("a client that had met %s met %s after it", version, got)
	default:
		c.before++
	}
	return nil
}
