-- More of the same: copies of all imported rows with their own ids, each somewhat further.

insert into location ({location_columns})
select {location_copies}
from location cross join generate_series(1, {copies}) as copy;

insert into evse ({evse_columns})
select {evse_copies}
from (select row_number() over (order by evse_id) as nth, evse.* from evse) as evse
cross join generate_series(1, {copies}) as copy
limit {missing};
