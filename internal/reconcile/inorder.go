package reconcile

import (
	"context"
	"sync"
)

// InOrder computes count results by produce, workers at once, and gives them to
// consume in order. It stops at the first error or when consume returns false,
// and returns when nothing runs any more. At most twice workers results wait.
func InOrder[T any](ctx context.Context, workers, count int, produce func(ctx context.Context, i int) (T, error), consume func(T) (more bool, err error)) error {
	type outcome struct {
		result T
		err    error
	}
	workers = max(workers, 1)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	slots := make(chan struct{}, workers)
	pending := make(chan chan outcome, workers)
	running.Go(func() {
		defer close(pending)
		for i := range count {
			out := make(chan outcome, 1)
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			running.Go(func() {
				defer func() { <-slots }()
				result, err := safely(func() (T, error) { return produce(ctx, i) })
				out <- outcome{result, err}
			})
			select {
			case pending <- out:
			case <-ctx.Done():
				return
			}
		}
	})
	for out := range pending {
		o := <-out
		if o.err != nil {
			return o.err
		}
		if more, err := consume(o.result); err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}
