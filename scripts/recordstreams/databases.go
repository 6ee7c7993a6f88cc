package main

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"net/http"
	"time"
)

// Orders are kept in SQLite, which has one writer at a time: who waits for longer
// than the driver does is answered with 503, and now and then somebody tidies up.
const (
	articles = 200
	tidyUp   = 9 * time.Second // on average, between two times
)

func prepareOrders(ctx context.Context, world string) error {
	db, err := sql.Open("sqlite", world)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `
		create table article (id integer primary key, stock integer not null);
		create table ordered (id integer primary key, article integer not null, note text not null);
		with recursive n(i) as (select 1 union all select i+1 from n where i < 200) insert into article select i, 0 from n`)
	if err != nil {
		return err
	}
	go func() {
		defer func() { _ = db.Close() }()
		for pause(ctx, tidyUp) {
			length := 50*time.Millisecond + time.Duration(rand.ExpFloat64()*float64(200*time.Millisecond))
			_ = inTx(ctx, db, sql.LevelDefault, func(tx *sql.Tx) error { return tidy(ctx, tx, length) })
		}
	}()
	return nil
}

// tidy drops old orders, a few at a time, in one transaction.
func tidy(ctx context.Context, tx *sql.Tx, length time.Duration) error {
	for began := time.Now(); time.Since(began) < length; {
		if _, err := tx.ExecContext(ctx, `delete from ordered where id in (select id from ordered order by id limit 50)`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `update article set stock = stock + 1`); err != nil {
			return err
		}
	}
	return nil
}

func newOrders(world string) (http.Handler, error) {
	db, err := sql.Open("sqlite", world)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(8)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		article := rand.IntN(articles) + 1
		if rand.IntN(10) < 6 {
			var stock int
			answer(w, db.QueryRowContext(r.Context(), `select stock from article where id = ?`, article).Scan(&stock))
			return
		}
		answer(w, inTx(r.Context(), db, sql.LevelDefault, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(r.Context(), `update article set stock = stock - 1 where id = ?`, article); err != nil {
				return err
			}
			_, err := tx.ExecContext(r.Context(), `insert into ordered (article, note) values (?, hex(randomblob(64)))`, article)
			return err
		}))
	}), nil
}

// Accounts are kept in PostgreSQL: transfers of which many concern the same few
// accounts, serialisable, over a few connections. A conflict is tried once more.
const accounts = 60

func prepareAccounts(ctx context.Context, url string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, `
		drop table if exists account;
		create table account (id int primary key, balance bigint not null);
		insert into account select i, 1000 from generate_series(0, 59) i`)
	return err
}

func newAccounts(url string) (http.Handler, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 250*time.Millisecond)
		defer cancel()
		from, to := favourite(), favourite()
		err := transfer(ctx, db, from, to)
		if err != nil && ctx.Err() == nil {
			err = transfer(ctx, db, from, to)
		}
		answer(w, err)
	}), nil
}

// favourite is an account, the first ones most often.
func favourite() int {
	x := rand.Float64()
	return int(accounts * x * x * x)
}

func transfer(ctx context.Context, db *sql.DB, from, to int) error {
	return inTx(ctx, db, sql.LevelSerializable, func(tx *sql.Tx) error {
		var balance int
		if err := tx.QueryRowContext(ctx, `select balance from account where id = $1`, from).Scan(&balance); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `update account set balance = $2 where id = $1`, from, balance-1); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `update account set balance = balance + 1 where id = $1`, to)
		return err
	})
}
