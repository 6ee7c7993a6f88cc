// Command web is the shop's front: it passes on what the API says.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/towpath/towpath/examples/shop/server"
)

func main() {
	s, err := server.New("web")
	if err == nil {
		client := &http.Client{Timeout: 5 * time.Second}
		err = s.Run(func(w http.ResponseWriter, r *http.Request) {
			said, err := ask(client, r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			fmt.Fprintf(w, "web %s: %s", s.Version, said)
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

// ask is what the API answers.
func ask(client *http.Client, r *http.Request) ([]byte, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+os.Getenv("API_ADDRESS")+"/", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the api answers %s: %s", resp.Status, body)
	}
	return body, err
}
