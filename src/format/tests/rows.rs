//! Durable forms of settings: checkpoints of all versions to come read those of this one.

use crate::config::{
    ColumnRules, ColumnSettings, Deserializer, FormatSettings, Misfit, Misfits, NameRules,
    NumberUnit, Sample, TimeRules, UnknownFields,
};
use crate::format::{
    AvroCompression, AvroSettings, BloomFilters, Compression, CsvSettings, Delimiter, JsonSettings,
    ParquetCompression, ParquetOptions, ParquetSettings, RawSettings, SortedBy, TimestampType,
    WriterVersion, of_row,
};

mod read;

/// Each kind of settings, its durable form and its hash. Batches name their format by the hash, also in
/// states of versions to come: nothing here may change.
#[expect(clippy::too_many_lines, reason = "a table")]
fn durable_formats() -> Vec<(FormatSettings, &'static str, u64)> {
    let json = |compression, delimiter| {
        FormatSettings::new(JsonSettings {
            compression,
            delimiter,
        })
    };
    let raw = |compression, delimiter| {
        FormatSettings::new(RawSettings {
            compression,
            delimiter,
        })
    };
    let parquet = |compression| {
        FormatSettings::new(ParquetSettings {
            compression,
            options: ParquetOptions::default(),
            columns: ColumnSettings::of("id string,\n\"ä\" int"),
        })
    };
    let csv = |compression, header, [delimiter, quote]: [char; 2], null: &str| {
        FormatSettings::new(CsvSettings {
            compression,
            columns: ColumnSettings::of("id string, n int"),
            header,
            delimiter,
            quote,
            null: null.to_owned(),
        })
    };
    let avro = |compression| {
        FormatSettings::new(AvroSettings {
            compression,
            columns: ColumnSettings::of("id string"),
        })
    };
    vec![
        (
            json(Compression::None, Delimiter::Newline),
            r#"{"Json":{"compression":"None","delimiter":"Newline"}}"#,
            0xfed7_ebfd_64e3_7e54,
        ),
        (
            json(Compression::Gzip, Delimiter::Newline),
            r#"{"Json":{"compression":"Gzip","delimiter":"Newline"}}"#,
            0x79b6_04f3_dfc2_b1e1,
        ),
        (
            json(Compression::Zstd, Delimiter::Newline),
            r#"{"Json":{"compression":"Zstd","delimiter":"Newline"}}"#,
            0x5e49_1ffc_fa31_75d4,
        ),
        (
            json(Compression::Snappy, Delimiter::Newline),
            r#"{"Json":{"compression":"Snappy","delimiter":"Newline"}}"#,
            0xed33_9a1d_ee51_9069,
        ),
        (
            json(Compression::HadoopSnappy, Delimiter::Newline),
            r#"{"Json":{"compression":"HadoopSnappy","delimiter":"Newline"}}"#,
            0x2f6c_a73f_d10d_04e8,
        ),
        (
            json(Compression::Zip, Delimiter::Newline),
            r#"{"Json":{"compression":"Zip","delimiter":"Newline"}}"#,
            0x7ccf_7572_96c8_13bb,
        ),
        (
            json(Compression::None, Delimiter::None),
            r#"{"Json":{"compression":"None","delimiter":"None"}}"#,
            0x4671_1c31_17a2_946d,
        ),
        (
            json(Compression::Gzip, Delimiter::Text("\r\n".to_owned())),
            r#"{"Json":{"compression":"Gzip","delimiter":{"Text":"\r\n"}}}"#,
            0x5301_b918_489f_84bc,
        ),
        (
            raw(Compression::None, Delimiter::None),
            r#"{"Raw":{"compression":"None"}}"#,
            0x4a2c_030c_51f1_e3d7,
        ),
        (
            raw(Compression::Gzip, Delimiter::None),
            r#"{"Raw":{"compression":"Gzip"}}"#,
            0xa189_54cc_d54a_32ce,
        ),
        (
            raw(Compression::Zstd, Delimiter::None),
            r#"{"Raw":{"compression":"Zstd"}}"#,
            0xf28f_e811_d60b_d835,
        ),
        (
            raw(Compression::Snappy, Delimiter::None),
            r#"{"Raw":{"compression":"Snappy"}}"#,
            0x1f68_3830_ec5b_9435,
        ),
        (
            raw(Compression::HadoopSnappy, Delimiter::None),
            r#"{"Raw":{"compression":"HadoopSnappy"}}"#,
            0x2907_a0a5_4d48_dc60,
        ),
        (
            raw(Compression::Zip, Delimiter::None),
            r#"{"Raw":{"compression":"Zip"}}"#,
            0xc612_ab6f_8dfa_ad71,
        ),
        (
            raw(Compression::Zstd, Delimiter::Newline),
            r#"{"Raw":{"compression":"Zstd","delimiter":"Newline"}}"#,
            0x5b6f_572a_cada_64c9,
        ),
        (
            raw(Compression::None, Delimiter::Text("--".to_owned())),
            r#"{"Raw":{"compression":"None","delimiter":{"Text":"--"}}}"#,
            0x6477_0990_e19c_8eda,
        ),
        (
            parquet(ParquetCompression::None),
            r#"{"Parquet":{"compression":"None","schema":"id string,\n\"ä\" int"}}"#,
            0xcbf0_6e7f_b41d_09c9,
        ),
        (
            parquet(ParquetCompression::Snappy),
            r#"{"Parquet":{"compression":"Snappy","schema":"id string,\n\"ä\" int"}}"#,
            0x8872_43d9_512b_fa37,
        ),
        (
            parquet(ParquetCompression::Gzip),
            r#"{"Parquet":{"compression":"Gzip","schema":"id string,\n\"ä\" int"}}"#,
            0xf7b3_2667_46f7_9d5e,
        ),
        (
            parquet(ParquetCompression::Zstd),
            r#"{"Parquet":{"compression":"Zstd","schema":"id string,\n\"ä\" int"}}"#,
            0xaf30_301e_8f6e_8c8f,
        ),
        (
            parquet(ParquetCompression::Lz4),
            r#"{"Parquet":{"compression":"Lz4","schema":"id string,\n\"ä\" int"}}"#,
            0xf390_55ab_0c1b_493b,
        ),
        (
            csv(Compression::None, true, [',', '"'], ""),
            r#"{"Csv":{"compression":"None","schema":"id string, n int","header":true,"delimiter":",","quote":"\"","null":""}}"#,
            0x3852_4ea7_8e3a_79b3,
        ),
        (
            csv(Compression::Gzip, false, ['\t', '\''], "\\N"),
            r#"{"Csv":{"compression":"Gzip","schema":"id string, n int","header":false,"delimiter":"\t","quote":"'","null":"\\N"}}"#,
            0x1a88_4994_e259_6744,
        ),
        (
            avro(AvroCompression::None),
            r#"{"Avro":{"compression":"None","schema":"id string"}}"#,
            0xe834_3b3c_cbd6_8834,
        ),
        (
            avro(AvroCompression::Deflate),
            r#"{"Avro":{"compression":"Deflate","schema":"id string"}}"#,
            0xc9e3_5234_9492_4101,
        ),
        (
            avro(AvroCompression::Snappy),
            r#"{"Avro":{"compression":"Snappy","schema":"id string"}}"#,
            0x8551_fc4b_c832_731b,
        ),
        (
            avro(AvroCompression::Zstandard),
            r#"{"Avro":{"compression":"Zstandard","schema":"id string"}}"#,
            0x4a14_3f09_ed70_d9d6,
        ),
    ]
}

#[test]
fn settings_keep_their_durable_form_and_their_hash() {
    for (settings, form, hash) in durable_formats() {
        assert_eq!(settings.row(), form);
        assert_eq!(settings.hash(), hash, "{form}");
        assert_eq!(of_row(form), Some(settings));
    }
}

/// Settings of each format with columns that say all there is to say of these, and their durable forms.
fn with_all_rules() -> [(FormatSettings, String); 3] {
    let text = |text: &str| text.to_owned();
    let rules = ColumnRules {
        unknown: UnknownFields::Keep(text("rest")),
        misfits: Misfits {
            default: Misfit::Null,
            columns: [(text("id"), Misfit::Fail)].into(),
        },
        names: NameRules {
            case_sensitive: true,
            dots_to_underscores: true,
            json_keys: [(text("id"), text("ID"))].into(),
        },
        deserializer: Deserializer::Hive,
        structs_by_name: false,
        times: TimeRules {
            formats: vec![text("dd/MM/yyyy")],
            unit: Some(NumberUnit::Nanos),
            whole_millis: false,
        },
    };
    let columns = ColumnSettings {
        learned: true,
        rules,
        ..ColumnSettings::of("id string")
    };
    let written = r#""learned":true,"structs_by_name":false,"rules":{"unknown":{"Keep":"rest"},"misfits":{"default":"Null","columns":{"id":"Fail"}},"names":{"case_sensitive":true,"dots_to_underscores":true,"json_keys":{"id":"ID"}},"deserializer":"Hive","times":{"formats":["dd/MM/yyyy"],"unit":"Nanos"}}"#;
    with_columns(&columns, written)
}

/// Settings of each format with these columns, and their durable forms: `written` stands behind the schema.
fn with_columns(columns: &ColumnSettings, written: &str) -> [(FormatSettings, String); 3] {
    let parquet = ParquetSettings {
        compression: ParquetCompression::None,
        options: ParquetOptions::default(),
        columns: columns.clone(),
    };
    let avro = AvroSettings {
        compression: AvroCompression::None,
        columns: columns.clone(),
    };
    let csv = CsvSettings {
        compression: Compression::None,
        columns: columns.clone(),
        header: true,
        delimiter: ',',
        quote: '"',
        null: "NULL".to_owned(),
    };
    let comma = if written.is_empty() { "" } else { "," };
    let head = format!(r#""compression":"None","schema":"id string"{comma}{written}"#);
    let tail = r#""header":true,"delimiter":",","quote":"\"","null":"NULL""#;
    [
        (parquet.into(), format!(r#"{{"Parquet":{{{head}}}}}"#)),
        (avro.into(), format!(r#"{{"Avro":{{{head}}}}}"#)),
        (csv.into(), format!(r#"{{"Csv":{{{head},{tail}}}}}"#)),
    ]
}

/// What a config says beside the columns stands behind them, and nothing where it says what was so before.
#[test]
fn rules_of_columns_have_a_durable_form_in_each_format() {
    let failing = ColumnRules {
        unknown: UnknownFields::Fail,
        ..ColumnRules::default()
    };
    let failing = ColumnSettings {
        rules: failing,
        ..ColumnSettings::of("id string")
    };
    let failing = with_columns(&failing, r#""rules":{"unknown":"Fail"}"#);
    let sampled = ColumnSettings {
        sample: Some(Sample::default()),
        ..ColumnSettings::of("infer")
    };
    let sampled = with_columns(&sampled.with_learned("id string"), r#""learned":true"#);
    let of_table = ColumnSettings::of("glue_table").with_learned("id string");
    let of_table = with_columns(&of_table, r#""learned":true,"structs_by_name":false"#);
    let others = failing.into_iter().chain(sampled).chain(of_table);
    for (settings, form) in with_all_rules().into_iter().chain(others) {
        assert_eq!(settings.row(), form);
        assert_eq!(of_row(&form), Some(settings));
    }
}

/// A batch is opened when columns are known, so where they came from is not kept.
#[test]
fn what_columns_are_to_be_learned_from_has_no_durable_form() {
    let columns = ColumnSettings::of("id string");
    let sampled = ColumnSettings {
        sample: Some(Sample::default()),
        ..columns.clone()
    };
    let known = with_columns(&columns, "");
    for ((settings, form), (known, _)) in with_columns(&sampled, "").into_iter().zip(known) {
        assert_eq!(settings.row(), form);
        assert_eq!(of_row(&form), Some(known));
    }
}

/// The layout stands before the columns, and nothing where it says what was so before there was anything to say.
#[test]
fn the_layout_of_parquet_has_a_durable_form() {
    let millis = ParquetOptions {
        timestamps: TimestampType::Millis,
        ..ParquetOptions::default()
    };
    let of_millis = r#"{"Parquet":{"compression":"Zstd","options":{"timestamps":"Millis"},"schema":"id string"}}"#;
    for (settings, form) in [with_layout(), (parquet(millis), of_millis)] {
        assert_eq!(settings.row(), form);
        assert_eq!(of_row(form), Some(settings));
    }
}

fn parquet(options: ParquetOptions) -> FormatSettings {
    FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::Zstd,
        options,
        columns: ColumnSettings::of("id string"),
    })
}

/// Settings that say all there is to say of the layout, and their durable form.
fn with_layout() -> (FormatSettings, &'static str) {
    let all = ParquetOptions {
        block_size: Some(1 << 20),
        page_size: Some(8192),
        without_dictionary: true,
        writer_version: WriterVersion::V2,
        zstd_level: Some(3),
        bloom_filters: BloomFilters {
            columns: vec!["id".to_owned()],
            false_positives: Some(1000),
        },
        sorted_by: vec![
            SortedBy {
                column: "id".to_owned(),
                descending: true,
            },
            SortedBy {
                column: "n".to_owned(),
                descending: false,
            },
        ],
        without_page_index: true,
        statistics_length: Some(8),
        timestamps: TimestampType::Int96,
    };
    let written = concat!(
        r#"{"Parquet":{"compression":"Zstd","options":{"block_size":1048576,"page_size":8192,"without_dictionary":true,"#,
        r#""writer_version":"V2","zstd_level":3,"bloom_filters":{"columns":["id"],"false_positives":1000},"#,
        r#""sorted_by":[{"column":"id","descending":true},{"column":"n"}],"without_page_index":true,"#,
        r#""statistics_length":8,"timestamps":"Int96"},"schema":"id string"}}"#,
    );
    (parquet(all), written)
}

#[test]
fn forms_of_no_known_format_are_none() {
    for form in [
        "",
        "{}",
        "{\"Orc\":{}}",
        "{\"Json\":{\"compression\":\"Lz4\"}}",
        "7",
    ] {
        assert_eq!(of_row(form), None, "{form}");
    }
}
