export default (payload) => payload;
