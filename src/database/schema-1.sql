-- A lottery each. What its first central was told stands here, and every other is held to it.
CREATE TABLE draws (
  id INT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  roster INT NOT NULL,
  winning_number BIGINT,               -- NULL: it comes later
  unbalanced TEXT NOT NULL,            -- refuse or accept
  require_signed BOOLEAN NOT NULL,
  lottery TEXT NOT NULL,
  secrets TEXT NOT NULL,
  phase TEXT NOT NULL DEFAULT 'open' CHECK (phase IN ('open', 'sealed', 'drawn')),
  number BIGINT,
  seal TEXT,
  acta TEXT,
  sealed_by TEXT,
  drawn_by TEXT,
  seal_told BOOLEAN NOT NULL DEFAULT false,
  draw_told BOOLEAN NOT NULL DEFAULT false
);
-- All rows are made with the draw, so that there is always one to lock.
CREATE TABLE agencies (
  draw INT NOT NULL,
  agency INT NOT NULL,
  stored BIGINT NOT NULL DEFAULT 0,
  checksum BIGINT NOT NULL DEFAULT 0,
  done TEXT,                           -- how, if it is done
  declaration TEXT,                    -- what it has signed
  PRIMARY KEY (draw, agency)
) WITH (fillfactor = 50);
CREATE TABLE batches (
  draw INT NOT NULL,
  agency INT NOT NULL,
  place BIGINT NOT NULL,               -- of its first bet in the agency's sequence, from 0 on
  count INT NOT NULL,
  rows BYTEA NOT NULL,                 -- as bets.csv has them
  PRIMARY KEY (draw, agency, place)
);
-- Compressing them takes longer than writing them.
ALTER TABLE batches ALTER COLUMN rows SET STORAGE EXTERNAL;
CREATE TABLE centrals (
  draw INT NOT NULL,
  central TEXT NOT NULL,
  last_group BIGINT NOT NULL,
  PRIMARY KEY (draw, central)
) WITH (fillfactor = 10);
-- The number is part of the key: those of a number that was not drawn in the end may stand here too.
CREATE TABLE winners (
  draw INT NOT NULL,
  number BIGINT NOT NULL,
  agency INT NOT NULL,
  place BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (draw, number, agency, place)
);
-- Each bet as named columns, for people. No value holds a line end, and only names may be quoted.
CREATE VIEW bets AS
  SELECT d.name AS draw, b.agency, b.place + line.nth AS bet,
    CASE WHEN f[1] LIKE '"%' THEN replace(substr(f[1], 2, length(f[1]) - 2), '""', '"') ELSE f[1] END AS first_name,
    CASE WHEN f[2] LIKE '"%' THEN replace(substr(f[2], 2, length(f[2]) - 2), '""', '"') ELSE f[2] END AS last_name,
    f[3] AS document, f[4]::date AS birthdate, f[5]::bigint AS number
  FROM batches b JOIN draws d ON d.id = b.draw,
    regexp_split_to_table(convert_from(b.rows, 'UTF8'), E'\r\n') WITH ORDINALITY AS line(text, nth),
    regexp_match(line.text, '^[0-9]+,("(?:[^"]|"")*"|[^",]*),("(?:[^"]|"")*"|[^",]*),([^,]*),([^,]*),([0-9]+)$') AS f
  WHERE line.text <> '';
