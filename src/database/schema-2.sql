-- The low 16 bits of each bet's number, two bytes a bet with the higher first, so that a draw need not read every row. NULL where the
-- batch was stored before: its rows are searched.
ALTER TABLE batches ADD COLUMN numbers BYTEA;
ALTER TABLE batches ALTER COLUMN numbers SET STORAGE EXTERNAL;
