/** Words that Tab completes beside the names of the user's own: SQL's, the functions people use, the service's tables. */

export const keywords: readonly string[] =
  'SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET DISTINCT ALL AS AND OR NOT IN IS NULL LIKE ILIKE BETWEEN CASE WHEN THEN ELSE END JOIN LEFT RIGHT FULL OUTER INNER CROSS ASOF SEMI ANTI LATERAL NATURAL ON USING UNION INTERSECT EXCEPT WITH RECURSIVE MATERIALIZED OVER PARTITION WINDOW ROWS RANGE PRECEDING FOLLOWING UNBOUNDED CURRENT ROW QUALIFY FILTER ASC DESC NULLS FIRST LAST EXISTS CAST TRY_CAST INTERVAL TIMESTAMP DATE TIME TRUE FALSE VALUES EXPLAIN ANALYZE DESCRIBE SHOW TABLES PIVOT UNPIVOT EXCLUDE REPLACE COLUMNS TABLESAMPLE SAMPLE COLLATE ESCAPE SIMILAR GLOB ROLLUP CUBE GROUPING SETS BIGINT INTEGER DOUBLE VARCHAR BOOLEAN BLOB TIMESTAMPTZ DECIMAL JSON'.split(
    ' ',
  );

export const functionNames: readonly string[] =
  'abs age any_value approx_count_distinct approx_quantile arg_max arg_min array_agg avg bit_and bit_or bool_and bool_or ceil coalesce concat concat_ws contains corr count count_if count_star cume_dist current_date date_diff date_part date_trunc dayname decode dense_rank encode ends_with epoch epoch_ms exp extract first first_value floor format from_base64 generate_series greatest hash hex histogram if ifnull json json_array_length json_contains json_extract json_extract_string json_keys json_structure json_transform json_type json_valid lag last last_value lead least left len length list list_aggregate list_contains list_distinct list_filter list_sort list_transform ln log log10 lower lpad ltrim make_date make_timestamp max max_by md5 median min min_by mode month monthname now nth_value ntile nullif octet_length percent_rank position pow printf quantile quantile_cont quantile_disc range rank regexp_extract regexp_extract_all regexp_matches regexp_replace repeat replace reverse right round row_number rpad rtrim sha256 sign split_part sqrt starts_with stddev stddev_pop string_agg string_split strftime strip_accents strlen strptime struct_pack substring sum text time_bucket to_base64 to_days to_hours to_json to_milliseconds to_minutes to_seconds to_timestamp trim trunc try_strptime typeof unhex unnest upper url_decode url_encode uuid var_pop variance week year'.split(
    ' ',
  );

export const systemTables: readonly string[] = [
  'system.cold_files',
  'system.columns',
  'system.holes',
  'system.partitions',
  'system.queries',
  'system.tables',
  'system.topics',
  'system.views',
];
